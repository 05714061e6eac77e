"""Energies made of networks: one number for each input, or one number for each input and label.

    E(x) = net(x)                          any module with one output
    E(x, y) = −net(x)_y                    a table over labels: logits are negative energies
    E(x, y) = ½‖net(x) − prototype_y‖²     distance to a label's prototype

Source: LeCun et al., A Tutorial on Energy-Based Learning (2006), section 2; for prototypes, LeCun, Bottou, Bengio &
Haffner, Proc. IEEE 86 (1998), eq. 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Categorical, Real, Space
from .energy import Energy
from .stack import is_stack, stack_slope
from .tabulated import Tabulated


class Network(Energy):
    """A module that gives one number for each sample, as an energy.

    Args:
        network: Called with the variables' values in the order of the spaces; returns ``(N,)`` or ``(N, 1)``.
        **spaces: The variables.
    """

    @classmethod
    def example(cls) -> Network:
        return cls(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), x=Real(2))

    def __init__(self, network: nn.Module, **spaces: Space) -> None:
        super().__init__(**spaces)
        self.network = network

    def energies(self, **values: Any) -> Tensor:
        output = self.network(*(values[name] for name in self.spaces))
        if output.ndim == 2 and output.shape[1] == 1:
            output = output.squeeze(1)
        if output.ndim != 1:
            raise SpaceError(f"Network: wanted one number for each sample, (N,) or (N, 1), got {tuple(output.shape)}.")
        return output

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        """In closed form for a plain stack of layers, where nobody asks for a graph."""
        plain = not rest and len(self.spaces) == 1 and name in (None, self.variable)
        if plain and not torch.is_grad_enabled() and is_stack(self.network):
            single = len(self.space.batch_shape(value, self.variable)) == 1
            if single and not torch.is_autocast_enabled(value.device.type):
                return stack_slope(self.network, value)  # type: ignore[arg-type]
        return super().value_and_gradient(value, name, **rest)


class Function(Energy):
    """Any function of tensors as an energy: a scikit-learn score, an analytic landscape, somebody else's model.

    Args:
        function: Called with the values by name; returns ``(N,)``.
        **spaces: The variables.
    """

    @classmethod
    def example(cls) -> Function:
        return cls(lambda x, y: 0.5 * (x - y).square(), x=Real(), y=Real())

    def __init__(self, function: Callable[..., Tensor], **spaces: Space) -> None:
        super().__init__(**spaces)
        self.function = function

    def energies(self, **values: Any) -> Tensor:
        return self.function(**values)


class NetworkTable(Energy):
    """A classifier: the network's K outputs are the energies of the K labels, up to the sign.

    Args:
        network: Maps ``(N, *x)`` to ``(N, K)``.
        x: Space of the input.
        k: How many labels.
        sign: −1 if outputs are logits (high is good), +1 if they are energies already.
    """

    @classmethod
    def example(cls) -> NetworkTable:
        return cls(nn.Linear(5, 3), Real(5), 3)

    def __init__(self, network: nn.Module, x: Space, k: int, sign: int = -1) -> None:
        labels = Categorical(k)
        super().__init__(x=x, y=labels)
        self.labels = labels
        if sign not in (-1, 1):
            raise SpaceError(f"NetworkTable: wanted sign −1 (logits) or +1 (energies), got {sign}.")
        self.network = network
        self.sign = sign

    def costs(self, x: Any) -> Tensor:
        """The energy of each label: ``(*B, *x) → (*B, K)``."""
        batch = self.spaces["x"].batch_shape(x, "x")
        output = self.network(x if len(batch) == 1 else x.reshape(batch.numel(), *self.spaces["x"].shape))
        k = self.labels.k
        if output.shape != (batch.numel(), k):
            raise SpaceError(
                f"NetworkTable: wanted one output for each of {k} labels, ({batch.numel()}, {k}), got {tuple(output.shape)}."
            )
        costs = -output if self.sign < 0 else output
        return costs if len(batch) == 1 else costs.reshape(*batch, -1)

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return self.costs(x).gather(-1, y.unsqueeze(-1)).squeeze(-1)

    def table(self, *names: str, **rest: Any) -> Tensor:
        return self.costs(rest["x"]) if names == ("y",) and rest.keys() == {"x"} else super().table(*names, **rest)

    def given(self, **observed: Any) -> Energy:
        """With x known the network has nothing left to do: its outputs are computed once."""
        if "x" in observed and isinstance(observed["x"], Tensor):
            rest = {name: value for name, value in observed.items() if name != "x"}
            self.known(rest)
            return Tabulated(self.costs(observed["x"]), y=self.labels).given(**rest)
        return super().given(**observed)


class Prototypes(nn.Module):
    """Squared distances to K prototypes, ½‖x − P_k‖²: ``(N, D) → (N, K)``; a network's last layer, giving energies.

    Args:
        prototypes: ``(K, D)``.
        learn: Whether they may move.
    """

    def __init__(self, prototypes: Tensor, learn: bool = False) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(prototypes.clone(), requires_grad=learn)

    def forward(self, x: Tensor) -> Tensor:
        norms = 0.5 * self.prototypes.square().sum(-1)
        return 0.5 * x.square().sum(-1, keepdim=True) + norms - x @ self.prototypes.T
