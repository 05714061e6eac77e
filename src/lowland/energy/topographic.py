"""How far is x from a curve or a sheet that a network draws through its space?

    E(x, z) = ½ ‖x − g(p_z)‖²,   z in {1 … K}, p_z the places of a grid in one or two dimensions

Summed over z at inverse temperature β it is a mixture of K Gaussians that cannot lie anywhere, only along the sheet: however many
places there are, there are as many ways to move them as g has.

Source: Bishop, Svensén & Williams, GTM: The Generative Topographic Mapping, Neural Computation 10 (1998), eqs. 2.1–2.6.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..spaces import Categorical, Real, Space
from .energy import Energy


class TopographicMap(Energy):
    """½‖x − g(p_z)‖² ≥ 0. Units: those of x, squared.

    Args:
        x: Space of the observation, D numbers.
        network: g, ``(K, L) → (K, D)``.
        places: p, ``(K, L)``: the points of a latent grid, which stay where they are.
    """

    places: Tensor

    def __init__(self, x: Space, network: nn.Module, places: Float[Tensor, "K L"]) -> None:
        super().__init__(x=x, z=Categorical(len(places)))
        self.network = network
        self.register_buffer("places", places)

    @classmethod
    def example(cls) -> TopographicMap:
        """A small one, for the conformance checks."""
        return cls(
            Real(3), nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 3)), torch.linspace(-1, 1, 5)[:, None]
        )

    @property
    def centres(self) -> Float[Tensor, "K D"]:
        """Where the network puts each place."""
        return self.network(self.places)

    def energies(self, x: Tensor, z: Int64[Tensor, " B"]) -> Float[Tensor, " B"]:
        return 0.5 * (x.flatten(1) - self.centres[z]).square().sum(-1)

    def table(self, *names: str, **rest: Any) -> Tensor:
        if names != ("z",) or rest.keys() != {"x"}:
            return super().table(*names, **rest)
        batch = self.spaces["x"].batch_shape(rest["x"], "x")
        x, centres = rest["x"].reshape(batch.numel(), -1), self.centres
        squares = 0.5 * (x.square().sum(-1, keepdim=True) + centres.square().sum(-1))
        return (squares - x @ centres.T).reshape(*batch, -1)
