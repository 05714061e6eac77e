"""What a network makes of its own input: the energies of autoencoders.

    E(x)    = ‖x − r(x)‖²                                 how far x is moved; its slope near the data is that of −σ² log p
    E(x, y) = −Σ_d y_d log p_d(x) + (1 − y_d) log(1 − p_d(x))      how well clean bits y are told from a spoilt x

Sources: Vincent et al., ICML 2008, eq. 2 (cross entropy); Alain & Bengio, JMLR 15 (2014), theorem 2 (r(x) − x is the slope of log p).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import SpaceError
from ..spaces import Binary, Real, Space
from .energy import Energy


class SelfReconstruction(Energy):
    """‖x − r(x)‖² ≥ 0, and 0 at the fixed points of r. Units: x².

    Args:
        network: r, from ``(N, *event)`` to the same.
        x: Space of the one variable.
    """

    @classmethod
    def example(cls) -> SelfReconstruction:
        return cls(nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3)), Real(3))

    def __init__(self, network: nn.Module, x: Space) -> None:
        super().__init__(x=x)
        self.network = network

    def energies(self, x: Tensor) -> Tensor:
        reconstruction = self.network(x)
        if reconstruction.shape != x.shape:
            raise SpaceError(
                f"SelfReconstruction: wanted a reconstruction of shape {tuple(x.shape)}, got {tuple(reconstruction.shape)}."
            )
        return (x - reconstruction).flatten(1).square().sum(-1)


class BitReconstruction(Energy):
    """The cross entropy of bits y with the probabilities that a network gives them, having seen x. Units: nats.

    Grey levels between 0 and 1 are taken for probabilities of bits. It is linear in y: the answer's log odds are −∂E/∂y.

    Args:
        network: Log odds of y, from ``(N, *x)`` to ``(N, *y)``.
        y: `Binary`, or a box from 0 to 1.
        x: Space of what the network sees; any real numbers in the shape of y by default.
    """

    @classmethod
    def example(cls) -> BitReconstruction:
        return cls(nn.Linear(3, 3), Binary(3))

    def __init__(self, network: nn.Module, y: Space, x: Space | None = None) -> None:
        super().__init__(x=x or Real(*y.shape), y=y)
        self.network = network

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return self._cost(self.network(x).to(y.dtype), y)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        """Of y in closed form: the network is run once and not differentiated."""
        if name == "y" and rest.keys() == {"x"} and value.ndim == rest["x"].ndim == 1 + len(self.spaces["y"].shape):
            log_odds = self.network(rest["x"]).to(value.dtype)
            return self._cost(log_odds, value), -log_odds
        return super().value_and_gradient(value, name, **rest)

    @staticmethod
    def _cost(log_odds: Tensor, y: Tensor) -> Tensor:
        return (softplus(log_odds) - y * log_odds).flatten(1).sum(-1)
