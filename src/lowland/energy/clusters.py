"""How far is y from one of K centres?

    E(y, z) = ½ ‖φ(y) − W_z‖²,   z in {1 … K}

``minimize("z")`` is k-means, ``marginalize("z", β)`` the mixture of K Gaussians of equal weight and variance 1/β.

Sources: Lloyd, IEEE Trans. IT 28 (1982); Dempster, Laird & Rubin, JRSS B 39 (1977).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Categorical, Real, Space
from .energy import Energy
from .linear import linear
from .tabulated import Tabulated

#: Rows whose distances to all centres are held at once: few enough to stay in a core's own cache.
ROWS = 2048


class Clusters(Energy):
    """½‖φ(y) − W_z‖² ≥ 0. Units: those of φ(y), squared.

    Args:
        y: Space of the observation, ``Real(D)`` for instance.
        count: K, how many centres.
        features: φ, a module that turns ``(N, *event)`` into ``(N, D)``; the flattened observation by default.
        dim: D, where it is not the observation's length.

    Attributes:
        W: ``(K, D)``, drawn from N(0, 1).

    Raises:
        SpaceError: If there is no centre.
    """

    def __init__(self, y: Space, count: int, features: nn.Module | None = None, dim: int | None = None) -> None:
        if count < 1:
            raise SpaceError(f"Clusters: wanted at least 1 centre, got {count}.")
        super().__init__(y=y, z=Categorical(count))
        self.features = features or nn.Flatten()
        self.W = nn.Parameter(torch.randn(count, dim or y.shape.numel()))

    @classmethod
    def example(cls) -> Clusters:
        """A small one, for the conformance checks."""
        return cls(Real(3), 4)

    def energies(self, y: Tensor, z: Int64[Tensor, " B"]) -> Float[Tensor, " B"]:
        return 0.5 * (self.features(y) - self.W[z]).square().sum(-1)

    def costs(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N K"]:
        """Every centre's energy at once, for features that are computed already."""
        return self._compared(features) + 0.5 * features.square().sum(-1, keepdim=True)

    def _compared(self, features: Tensor) -> Tensor:
        """The energies less ½‖φ(y)‖², which all centres share."""
        return linear(features, -self.W, 0.5 * self.W.square().sum(-1))

    def table(self, *names: str, **rest: Any) -> Tensor:
        if names != ("z",) or rest.keys() != {"y"}:
            return super().table(*names, **rest)
        batch = self.spaces["y"].batch_shape(rest["y"], "y")
        features = self.features(rest["y"].reshape(batch.numel(), *self.spaces["y"].shape))
        return self.costs(features).reshape(*batch, -1)

    def given(self, **observed: Any) -> Energy:
        """With y known its distances to all centres are computed once."""
        if isinstance(observed.get("y"), Tensor):
            rest = {name: value for name, value in observed.items() if name != "y"}
            self.known(rest)
            return Tabulated(self.table("z", y=observed["y"]), z=Categorical(len(self.W))).given(**rest)
        return super().given(**observed)

    @torch.no_grad()
    def nearest(self, features: Float[Tensor, "N D"], guess: Int64[Tensor, " N"] | None = None) -> Int64[Tensor, " N"]:
        """argmin_z E for very many samples: what `infer` answers, without ever holding the whole table.

        Args:
            features: φ(y).
            guess: The likely answer, as of the last time. Finding the lowest number of a row is cheap, finding *where* it is
                costs more than the distances themselves; so only rows whose guess no longer attains the lowest are searched.
        """
        if guess is None:
            return torch.cat([self._compared(rows).argmin(-1) for rows in features.split(ROWS)])
        answer = guess.clone()
        for rows, here in zip(features.split(ROWS), answer.split(ROWS), strict=True):
            compared = self._compared(rows)
            beaten = compared.gather(-1, here.unsqueeze(-1)).squeeze(-1) > compared.amin(-1)
            moved = beaten.nonzero().squeeze(-1)
            here[moved] = compared[moved].argmin(-1)
        return answer
