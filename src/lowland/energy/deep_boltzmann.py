"""A Boltzmann machine of three layers: pixels, and two layers of hidden bits, each of which talks to the next one only.

    E(x, h1, h2) = −(x − μ)ᵀb − (h1 − λ)ᵀc − (h2 − κ)ᵀd − (x − μ)ᵀW(h1 − λ) − (h2 − κ)ᵀV(h1 − λ)

Its two ends x and h2 don't see each other: side by side they are the visible layer of a restricted machine whose hidden layer is
h1. That machine's chains, its sum over h1 and the estimate of its log Z are those of the whole.

    F(x, h2) = −log Σ_h1 exp(−E)                   a sum of softplus: `marginalize("h1")`
    F(x)     ≤ min_q F(x, q) − S(q)                h2 by mean field: `marginalize("h1").marginalize("h2", solver=MeanField())`

E is linear in each bit, so that F(x, h2) is concave in h2, and at the mean of independent bits no less than its mean: a bound.

Sources: Salakhutdinov & Hinton, Deep Boltzmann Machines, AISTATS 2009, eqs. 9–14; Montavon & Müller, in Neural Networks: Tricks of the
Trade (2012), for the origins μ, λ and κ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Binary, Space
from .energy import Energy
from .independent_bits import EliminatedBits, IndependentBits
from .linear import batched_linear
from .partial import Partial
from .reduction import FreeEnergy, Min
from .restricted_boltzmann import RestrictedBoltzmann


class DeepBoltzmann(Energy):
    """Pixels x and hidden bits h1 and h2 in two layers. Units: nats, at β = 1.

    Args:
        x: Space of the visible layer, ``Binary(28, 28)`` for instance.
        first: How many bits h1 has.
        second: How many bits h2 has.

    Attributes:
        machine: The restricted machine of h1 and the two ends, ``ends(x, h2)``: its W holds W above V, its b holds b and d, and
            its origins are μ beside κ, and λ.

    Raises:
        SpaceError: If x is not made of bits, or a layer has none.
    """

    broadcasts = True

    @classmethod
    def example(cls) -> DeepBoltzmann:
        """A small one, for the conformance checks."""
        energy = cls(Binary(2), 3, 2)
        with torch.no_grad():
            for place, part in enumerate((*energy.machine.parameters(), *energy.machine.buffers())):
                part.copy_(torch.arange(part.numel()).add(place).sin().reshape(part.shape))
        return energy

    def __init__(self, x: Space, first: int, second: int) -> None:
        if not isinstance(x, Binary) or min(first, second) < 1:
            raise SpaceError(
                f"DeepBoltzmann: wanted a visible layer of bits like Binary(784) and at least one bit in each hidden layer, got {x!r}, "
                f"{first} and {second}."
            )
        super().__init__(x=x, h1=Binary(first), h2=Binary(second))
        self.pixels = x.shape.numel()
        self.machine = RestrictedBoltzmann(Binary(self.pixels + second), first)

    def ends(self, x: Tensor, h2: Tensor) -> Tensor:
        """x and h2 side by side, ``(*B, D + K2)``: the machine's visible layer."""
        x = x.reshape(*self.spaces["x"].batch_shape(x, "x"), -1)
        batch = torch.broadcast_shapes(x.shape[:-1], h2.shape[:-1])
        return torch.cat([x.expand(*batch, -1), h2.expand(*batch, -1)], -1)

    def energies(self, x: Tensor, h1: Tensor, h2: Tensor) -> Tensor:
        return self.machine.energies(x=self.ends(x, h2), z=h1)

    def field(self, name: str, **rest: Tensor) -> tuple[Tensor, Tensor]:
        """What a layer feels from the other two: E = constant − field · bits, ``(*B, K)`` and ``(*B)``."""
        if {name, *rest} != self.spaces.keys() or name in rest:
            raise self._wrong_names({name, *rest})
        if name == "h1":
            return self.machine.field("z", x=self.ends(**rest))
        field, constant = self.machine.field("x", z=rest["h1"])
        x, h2 = field[..., : self.pixels], field[..., self.pixels :]
        if name == "x":
            return x, constant - (h2 * rest["h2"]).sum(-1)
        return h2, constant - (x * rest["x"].reshape(*self.spaces["x"].batch_shape(rest["x"], "x"), -1)).sum(-1)

    def given(self, **observed: Any) -> Energy:
        """With an end known two layers are left, with two layers known independent bits; what is known is multiplied once."""
        self.known(observed)
        if any(isinstance(value, Partial) for value in observed.values()):
            return super().given(**observed)
        left = [name for name in self.spaces if name not in observed]
        if len(left) == 1:
            field, constant = self.field(left[0], **observed)
            event = self.spaces[left[0]].shape
            return IndependentBits(field.reshape(*constant.shape, *event), constant, left[0], len(event))
        if observed.keys() == {"x"}:
            return self._upper(observed["x"])
        return super().given(**observed)

    def _upper(self, x: Tensor) -> HiddenLayers:
        machine = self.machine
        sizes = [self.pixels, len(machine.b) - self.pixels]
        (W, V), (b, d), (origin, upper) = (part.split(sizes) for part in (machine.W, machine.b, machine.x_origin))
        x = x.reshape(*self.spaces["x"].batch_shape(x, "x"), -1) - origin
        return HiddenLayers(batched_linear(x, W.T, machine.c), -(x @ b), V, d, (machine.z_origin, upper))

    def minimize(self, name: str, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer minimised out, in closed form unless a solver is asked for."""
        return super().minimize(name, solver, **options) if solver else EliminatedBits(self, name, Min())

    def marginalize(self, name: str, beta: float | Tensor = 1.0, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer summed out, in closed form unless a solver is asked for."""
        found = EliminatedBits(self, name, FreeEnergy(beta))
        return super().marginalize(name, beta, solver, **options) if solver else found


class HiddenLayers(Energy):
    """What is left of a `DeepBoltzmann` machine where x is known: constant − (h1 − λ)ᵀa − (h2 − κ)ᵀd − (h2 − κ)ᵀV(h1 − λ).

    Args:
        drive: a, ``(*B, K1)``: what h1 hears from below, its bias included.
        constant: ``(*B)``.
        weight: V, ``(K2, K1)``.
        bias: d, ``(K2)``.
        origins: λ ``(K1)`` and κ ``(K2)``.
    """

    broadcasts = True
    drive: Tensor
    constant: Tensor
    weight: Tensor
    bias: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def example(cls) -> HiddenLayers:
        """A small one, for the conformance checks."""
        with torch.no_grad():
            return DeepBoltzmann.example().given(x=torch.tensor([1.0, 0.0]))  # type: ignore[return-value]

    def __init__(
        self, drive: Tensor, constant: Tensor, weight: Tensor, bias: Tensor, origins: tuple[Tensor, Tensor]
    ) -> None:
        super().__init__(h1=Binary(weight.shape[1]), h2=Binary(weight.shape[0]))
        first, second = origins
        parts = {"drive": drive, "constant": constant, "weight": weight, "bias": bias, "first": first, "second": second}
        for name, part in parts.items():
            self.register_buffer(name, part, persistent=False)

    def energies(self, h1: Tensor, h2: Tensor) -> Tensor:
        field, constant = self.field("h1", h2=h2)
        return constant - (field * h1).sum(-1)

    def field(self, name: str, **rest: Tensor) -> tuple[Tensor, Tensor]:
        """What a layer feels: E = constant − field · bits, ``(*B, K)`` and ``(*B)``."""
        if {name, *rest} != self.spaces.keys() or name in rest:
            raise self._wrong_names({name, *rest})
        if name == "h1":
            h2 = rest["h2"] - self.second
            field = self.drive + batched_linear(h2, self.weight.T)
            return field, self.constant + field @ self.first - h2 @ self.bias
        h1 = rest["h1"] - self.first
        field = batched_linear(h1, self.weight, self.bias)
        return field, self.constant + field @ self.second - (h1 * self.drive).sum(-1)

    def minimize(self, name: str, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer minimised out, in closed form unless a solver is asked for."""
        return super().minimize(name, solver, **options) if solver else EliminatedBits(self, name, Min())

    def marginalize(self, name: str, beta: float | Tensor = 1.0, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer summed out, in closed form unless a solver is asked for."""
        found = EliminatedBits(self, name, FreeEnergy(beta))
        return super().marginalize(name, beta, solver, **options) if solver else found

    @property
    def batch_shape(self) -> torch.Size:
        return self.constant.shape

    @property
    def reference(self) -> Tensor | None:
        return self.drive

    def select(self, rows: Tensor) -> HiddenLayers:
        if not self.batch_shape:
            return self
        origins = self.first, self.second
        return HiddenLayers(self.drive[rows], self.constant[rows], self.weight, self.bias, origins)
