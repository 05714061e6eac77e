"""Codes of codewords: each place of a code takes one of K vectors, so that a vector becomes a number below K.

    E(y, z) = ½ Σ_p ‖y_p − W_{z_p}‖²              z_p in {0 … K − 1}: places don't see each other
    E(x, z) = ½ ‖x − g(W_z)‖²                     what a decoder makes of the codewords

``minimize("z")`` of the first is the nearest codeword of every place, ``marginalize("z", β)`` a mixture of Gaussians in each. A code of P
places holds P log₂ K bits and no more, whatever the decoder can do: low energy has a bounded volume (strategy A2).

Source: van den Oord, Vinyals & Kavukcuoglu, Neural Discrete Representation Learning, NIPS 2017, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..errors import SpaceError, StructureError
from ..spaces import Labels, Real, Space
from .energy import Energy
from .reduction import Reduction
from .structure import Structure


@dataclass(frozen=True, eq=False)
class Places(Structure):
    """One choice at each place, none of which sees another: reduced place by place.

    Attributes:
        potentials: ``(B, P, K)``, the energy of each choice.
    """

    potentials: Tensor

    def replaced(self, potentials: Tensor) -> Places:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        if reduction.width == 1:
            return reduction(self.potentials).sum(-1)
        totals = reduction.merge(reduction.lift(self.potentials))
        return reduction.read(reduce(reduction.join, totals.unbind(1)))

    def augmented(self, right: Tensor, margin: float) -> Places:
        mistake = torch.full_like(self.potentials, margin).scatter(-1, right.unsqueeze(-1), 0.0)
        return replace(self, potentials=self.potentials - mistake)

    def value(self, share: Tensor) -> Tensor:
        """The choice at each place, ``(B, P)``."""
        return share.argmax(-1)


class Codebook(Energy):
    """½ Σ_p ‖y_p − W_{z_p}‖² ≥ 0. Units: those of y, squared.

    Args:
        places: P, how many vectors a sample has.
        dim: D, how long each is.
        size: K, how many codewords there are.

    Attributes:
        W: ``(K, D)``, drawn from N(0, 1); a buffer, since codewords move to the mean of what they stand for, not down a slope.

    Raises:
        SpaceError: If one of the three is not positive.
    """

    broadcasts = True
    W: Tensor

    def __init__(self, places: int, dim: int, size: int) -> None:
        if min(places, dim, size) < 1:
            raise SpaceError(f"Codebook: wanted places, dim and size ≥ 1, got {places}, {dim} and {size}.")
        super().__init__(y=Real(places, dim), z=Labels(size, places))
        self.register_buffer("W", torch.randn(size, dim))

    @classmethod
    def example(cls) -> Codebook:
        """A small one, for the conformance checks."""
        return cls(places=3, dim=2, size=4)

    @property
    def reference(self) -> Tensor | None:
        return self.W

    def energies(self, y: Float[Tensor, "*N P D"], z: Int64[Tensor, "*M P"]) -> Float[Tensor, "*B"]:
        return 0.5 * (y - self.W[z]).square().sum((-2, -1))

    def costs(self, y: Float[Tensor, "*N P D"]) -> Float[Tensor, "*N P K"]:
        """The energy of every codeword at every place."""
        norms = 0.5 * self.W.square().sum(-1)
        return 0.5 * y.square().sum(-1, keepdim=True) + norms - y @ self.W.T

    def nearest(self, y: Float[Tensor, "*N P D"]) -> Int64[Tensor, "*N P"]:
        """argmin_z E: the codeword of each place, without a search."""
        return (0.5 * self.W.square().sum(-1) - y.detach() @ self.W.T).argmin(-1)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        if other_than is not None:
            raise StructureError(
                "Codebook: all codes but one have no recursion; compare with the second best (KBest(2))."
            )
        return Places(self.costs(rest["y"])) if names == ("z",) else None


class QuantisedReconstruction(Energy):
    """½‖x − decoder(W_z)‖², with an encoder that guesses z: the energy of a vector-quantised auto-encoder.

    Args:
        encoder: Maps ``(N, *event)`` to ``(N, P, D)``, vectors to be replaced by their nearest codewords.
        codebook: The codewords, for P places.
        decoder: Maps ``(N, P, D)`` to ``(N, *event)``.
        x: Space of the observation.
    """

    def __init__(self, encoder: nn.Module, codebook: Codebook, decoder: nn.Module, x: Space) -> None:
        super().__init__(x=x, z=codebook.spaces["z"])
        self.encoder, self.codebook, self.decoder = encoder, codebook, decoder

    @classmethod
    def example(cls) -> QuantisedReconstruction:
        """A small one, for the conformance checks."""
        encoder = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)))
        decoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        return cls(encoder, Codebook(places=2, dim=2, size=3), decoder, Real(4))

    def energies(self, x: Tensor, z: Int64[Tensor, "B P"]) -> Float[Tensor, " B"]:
        return 0.5 * (x - self.decode(z)).square().flatten(1).sum(-1)

    def decode(self, z: Int64[Tensor, "B P"]) -> Tensor:
        """What a code stands for, ``(B, *event)``."""
        return self.decoder(self.codebook.W[z])

    def code(self, x: Tensor) -> Int64[Tensor, "B P"]:
        """The encoder's guess of argmin_z E(x, z), for one batch dimension."""
        return self.codebook.nearest(self.encoder(x))

    def minimize(self, name: str, solver: Any = None, **options: Any) -> Any:
        """Of z, without a solver: the energy of the encoder's code, which is all that training lowers; the minimum is not above it."""
        if name == "z" and solver is None and self.spaces["z"].size is None:
            return Coded(self)
        return super().minimize(name, solver, **options)


class Coded(Energy):
    """F(x) = E(x, code(x)): a vector-quantised auto-encoder's energy where its encoder says the code.

    Args:
        energy: The energy of x and z.
    """

    def __init__(self, energy: QuantisedReconstruction) -> None:
        super().__init__(x=energy.spaces["x"])
        self.energy = energy

    @classmethod
    def example(cls) -> Coded:
        """A small one, for the conformance checks."""
        return cls(QuantisedReconstruction.example())

    def energies(self, x: Tensor) -> Float[Tensor, " B"]:
        return self.energy(x=x, z=self.energy.code(x))

    def answer(self, x: Tensor) -> Int64[Tensor, "B P"]:
        """The code."""
        return self.energy.code(x)
