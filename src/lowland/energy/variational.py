"""Free energies of beliefs, for energies whose loops leave nothing exact: those that every label's or bit's neighbours can compute.

    mean field   F(q) = ⟨E⟩_q − S(q)/β,  q(y) = Π_i q_i(y_i)                   ≥ F_β everywhere
    of bits      F(q) = E(q) − S(q)/β                                          the same, where E is linear in each bit
    Bethe        F(m) = Σ_i (1 − d_i) R(u_i + Σ m→i) + Σ_ij R_ij(…)            = F_β without loops, at its stationary point

R is the reduction: `FreeEnergy(β)` gives the above, and `Min` their limits β → ∞ (iterated conditional modes; min-sum). The
gradient with respect to the energies of labels, the messages held fixed, is the beliefs.

Sources: Wainwright & Jordan, Graphical Models, Exponential Families, and Variational Inference (2008), sections 4.1 and 5.3;
Yedidia, Freeman & Weiss, Constructing Free-Energy Approximations, IEEE Trans. IT 51 (2005).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..errors import StructureError
from ..spaces import Real
from .energy import Energy
from .grid import ARRIVALS, RandomField
from .independent_bits import EliminatedBits
from .reduction import FreeEnergy, Min, Reduction


class Relaxation(Energy, ABC):
    """A free energy over beliefs in place of an energy over labels or bits.

    Its one variable is what neighbours tell each other, in units of energy.

    Args:
        field: The energy.
        reduction: `FreeEnergy` or `Min`.

    Raises:
        StructureError: If the reduction is another one.
    """

    broadcasts = True
    field: Any

    def __init__(self, field: Energy, reduction: Reduction, **variable: Real) -> None:
        if not isinstance(reduction, FreeEnergy | Min):
            raise StructureError(
                f"{type(self).__name__}: wanted the reduction Min or FreeEnergy, got {type(reduction).__name__}: "
                "the others need an exact recursion."
            )
        super().__init__(**variable)
        self.field = field
        self.reduction = reduction

    @abstractmethod
    def sweep(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """The free energy ``(*B)`` at a value, and the value that the beliefs in it make: itself, at a stationary point."""

    @abstractmethod
    def beliefs(self, value: Tensor) -> Tensor:
        """How likely each label of each pixel is, ``(*B, H, W, K)``, or each bit to be 1, ``(*B, *event)``; with `Min` 0 or 1."""

    @abstractmethod
    def labels(self, value: Tensor) -> Tensor:
        """The most likely label of each pixel, ``(*B, H, W)``, or value of each bit, ``(*B, *event)``."""

    def energies(self, **values: Tensor) -> Tensor:
        return self.sweep(values[self.variable])[0]

    @property
    def batch_shape(self) -> torch.Size:
        return self.field.batch_shape

    @property
    def reference(self) -> Tensor | None:
        return self.field.reference

    def select(self, rows: Tensor) -> Relaxation:
        return type(self)(self.field.select(rows), self.reduction)


class LabelRelaxation(Relaxation):
    """A free energy of beliefs in the labels of an image; final are `FactorizedFreeEnergy` and `BetheFreeEnergy`."""

    outgoing: Tensor

    def __init__(self, field: RandomField, reduction: Reduction, **variable: Real) -> None:
        super().__init__(field, reduction, **variable)
        self.register_buffer("outgoing", field.outgoing, persistent=False)

    @classmethod
    def example(cls) -> LabelRelaxation:
        return cls(RandomField.example(), FreeEnergy(1.5))

    @abstractmethod
    def totals(self, value: Tensor) -> Tensor:
        """The energy of each label at each pixel, its neighbours' word included: ``(*B, H, W, K)``."""

    def beliefs(self, value: Tensor) -> Tensor:
        return share(self.reduction, self.totals(value))

    def labels(self, value: Tensor) -> Tensor:
        return self.totals(value).argmin(-1)


class FactorizedFreeEnergy(LabelRelaxation):
    """The free energy of independent pixels, an upper bound of the true one at every value.

    The variable is the mean field h, the energy of each label; the belief in it is q = ∂R/∂h, so that −S(q)/β = R(h) − ⟨q, h⟩.
    """

    def __init__(self, field: RandomField, reduction: Reduction) -> None:
        super().__init__(field, reduction, mean_field=Real(*field.unary.shape[-3:]))

    def totals(self, value: Tensor) -> Tensor:
        return value

    def sweep(self, mean_field: Tensor) -> tuple[Tensor, Tensor]:
        q = self.beliefs(mean_field)
        sent = (self.outgoing @ q[..., None, :, :, :, None]).squeeze(-1)
        made = self.field.unary + self.field.arrive(sent).sum(-4)
        mean = 0.5 * (_mean(q, self.field.unary) + _mean(q, made))
        entropy = self.reduction(mean_field) - _mean(q, mean_field)
        return (mean + entropy).sum((-2, -1)), made

    def alone(self) -> Tensor:
        """The mean field where no neighbour has said anything, ``(*B, H, W, K)``."""
        return self.field.unary.expand(*self.batch_shape, *self.space.shape)

    def first(self) -> Tensor:
        """The black pixels of a checkerboard, ``(H, W, 1)``: they don't see each other, and the white ones don't."""
        rows, columns = (torch.arange(length, device=self.device) for length in self.space.shape[:2])
        return ((rows[:, None] + columns) % 2 == 0).unsqueeze(-1)


class FactorizedBits(Relaxation):
    """The free energy of bits that are independent, an upper bound of the true one at every value.

    The variable is the mean field h, by how much each bit's 1 is lower than its 0; the belief in a 1 is q = σ(β h). It needs an
    energy that is linear in each bit, or no less at the mean of independent bits than in the mean: one whose other layers were
    minimised or summed out. With a single other layer, all bits may move at once, and every step lowers the bound.

    Args:
        field: The energy of the bits: a Boltzmann machine's layer, the one that it talks to being eliminated.
        reduction: `FreeEnergy` or `Min`.
    """

    @classmethod
    def example(cls) -> FactorizedBits:
        return cls(EliminatedBits.example(), FreeEnergy(1.5))

    def __init__(self, field: EliminatedBits, reduction: Reduction) -> None:
        super().__init__(field, reduction, mean_field=Real(*field.space.shape))

    def beliefs(self, value: Tensor) -> Tensor:
        return self.labels(value) if self._beta is None else (self._beta * value).sigmoid()

    def labels(self, value: Tensor) -> Tensor:
        return (value > 0).to(value.dtype)

    def energies(self, mean_field: Tensor) -> Tensor:
        q = self.beliefs(mean_field)
        return self.field.value(q) + self._told(mean_field, q)

    def sweep(self, value: Tensor) -> tuple[Tensor, Tensor]:
        q = self.beliefs(value)
        energies, slope = self.field.value_and_gradient(q)
        return energies + self._told(value, q), -slope

    def _told(self, h: Tensor, q: Tensor) -> Tensor:
        """−S(q)/β, ``(*B)``."""
        reduced = h.relu() if self._beta is None else softplus(self._beta * h) / self._beta
        return (q * h - reduced).flatten(-len(self.space.shape)).sum(-1)

    @property
    def _beta(self) -> Any:
        """The inverse temperature, of which each sample may have its own; ``None`` with `Min`."""
        beta = getattr(self.reduction, "beta", None)
        return beta.reshape(*beta.shape, *[1] * len(self.space.shape)) if isinstance(beta, Tensor) else beta

    def alone(self) -> Tensor:
        """No mean field: each bit is 1 as often as 0, ``(*B, *event)``."""
        reference = self.reference
        return torch.zeros(*self.batch_shape, *self.space.shape, device=self.device).to(reference)

    def first(self) -> None:
        """Nothing: the bits don't see each other but through the layer that is eliminated, so that all may move at once."""


class BetheFreeEnergy(LabelRelaxation):
    """The free energy of pixels and pairs, from the messages that arrive at each pixel from above, below, left and right."""

    def __init__(self, field: RandomField, reduction: Reduction) -> None:
        super().__init__(field, reduction, messages=Real(len(ARRIVALS), *field.unary.shape[-3:]))

    def totals(self, value: Tensor) -> Tensor:
        return self.field.unary + torch.where(self.field.inside, value, 0.0).sum(-4)

    def sweep(self, messages: Tensor) -> tuple[Tensor, Tensor]:
        # messages are only compared with each other, so what is said next is shifted to reduce to zero
        told = torch.where(self.field.inside, messages, 0.0)
        above, below, left, right = told.unbind(-4)
        vertical, horizontal = above + below, left + right
        own = self.field.unary
        # what a pixel knows from everybody but the one above, below, to the left, to the right
        without = torch.stack(
            [own + below + horizontal, own + above + horizontal, own + right + vertical, own + left + vertical], -4
        )
        # what goes down is not to hold what came from below
        known = without[..., [1, 0, 3, 2], :, :, :]
        arrived = self.field.arrive(self.reduction(self.outgoing + known.unsqueeze(-2)))
        degree = self.field.inside.sum(-4).squeeze(-1)
        pixels = (1 - degree) * self.reduction(own + vertical + horizontal)
        pairs = torch.where(self.field.inside.squeeze(-1), self.reduction(without + arrived), 0.0)
        energies = pixels.sum((-2, -1)) + 0.5 * pairs.sum((-3, -2, -1))
        return energies, torch.where(self.field.inside, arrived - self.reduction(arrived).unsqueeze(-1), 0.0)


def share(reduction: Reduction, energies: Tensor) -> Tensor:
    """The gradient of the reduced energies, ``(*B, K) → (*B, K)``; differentiable, where the reduction is smooth."""
    totals = reduction.lift(energies)
    merged = reduction.merge(totals)
    return reduction.pull(totals, merged, torch.ones_like(merged)).squeeze(-1)


def _mean(q: Tensor, energies: Tensor) -> Tensor:
    """⟨energies⟩_q over the last dimension; what is forbidden has no share in it."""
    return (q * energies.masked_fill(energies.isinf(), 0.0)).sum(-1)
