"""Mean field: each pixel or bit sees only its neighbours' average opinion.

    labels   h_i ← u_i + Σ_{j ~ i} ⟨V_ij⟩_{q_j},   q = ∂R/∂h:  softmax(−β h) for `FreeEnergy(β)`, one-hot argmin h for `Min`
    bits     h ← −∇E(q),   q = σ(β h):  E is linear in each, so that its slope is the mean of what a bit feels

With `Min` and the colours in turn this is iterated conditional modes. Between the layers of a Boltzmann machine, of which every
other one is eliminated, it is the positive phase of deep learning before back-propagation had won.

Sources: Zheng et al., Conditional Random Fields as Recurrent Neural Networks, ICCV (2015), algorithm 1 (all pixels at once, a
fixed number of steps, unrolled); Wainwright & Jordan (2008), section 5.3; for `Min`, Besag, JRSS B 48 (1986); for bits, Peterson &
Anderson, Complex Systems 1 (1987), and Salakhutdinov & Hinton, AISTATS 2009, eqs. 11–12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy, Reduction
from ..energy.grid import RandomField
from ..energy.independent_bits import EliminatedBits
from ..energy.variational import FactorizedBits, FactorizedFreeEnergy
from ..errors import SpaceError, StructureError
from ..spaces import Binary, Space
from .solver import Info, Solver


class MeanFieldState(NamedTuple):
    mean_field: Tensor  # (*B, H, W, K) or, for bits, (*B, *event)


@dataclass(frozen=True)
class MeanField(Solver):
    """Beliefs that are independent from pixel to pixel or from bit to bit, and an upper bound of the free energy.

    The pixels of one colour of a checkerboard don't interact, so that the colours in turn lower the bound at every step;
    all at once is one pass less a step, may swing for ever, and then wants damping. The bits of a layer move at once in any case.
    The residual is the largest change of a label's or a bit's energy, in units of energy.

    Attributes:
        damping: The part of the old mean field that is kept, in [0, 1); a pure number.
        checkerboard: Whether the two colours of an image move in turn.
    """

    damping: float = 0.0
    checkerboard: bool = True

    tried_on: ClassVar[str] = "field"

    def __post_init__(self) -> None:
        if not 0 <= self.damping < 1:
            raise SpaceError(f"MeanField: wanted a damping in [0, 1), got {self.damping}.")

    def relax(self, energy: Energy, reduction: Reduction) -> FactorizedFreeEnergy | FactorizedBits:
        if isinstance(energy, EliminatedBits) and isinstance(energy.space, Binary):
            return FactorizedBits(energy, reduction)
        if not isinstance(energy, RandomField):
            raise StructureError(
                "MeanField: wanted an image of labels with x known (Grid, RandomField), or a layer of bits of a Boltzmann machine with "
                f"the one that it talks to eliminated (EliminatedBits), got {type(energy).__name__}."
            )
        if bool(energy.pairs.isinf().any()):
            raise StructureError(
                "MeanField: a pair of labels is forbidden (+∞), which independent beliefs can't obey: "
                "give it a large energy, or use BeliefPropagation."
            )
        return FactorizedFreeEnergy(energy, reduction)

    def start(self, energy: Energy, known: object, generator: torch.Generator | None = None) -> Tensor:
        return problem(energy).alone()

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> MeanFieldState:
        problem(energy)
        return MeanFieldState(value)

    def step(self, energy: Energy, state: MeanFieldState) -> tuple[MeanFieldState, Info]:
        h, relaxed = state.mean_field, problem(energy)
        free_energy, made = relaxed.sweep(h)
        before = relaxed.first() if self.checkerboard else None
        if before is None:
            change = difference(made, h)
            return MeanFieldState(h + (1 - self.damping) * change), Info(free_energy, largest(change, energy.space))
        first = torch.where(before, difference(made, h), 0.0)
        h = h + (1 - self.damping) * first
        second = torch.where(before, 0.0, difference(relaxed.sweep(h)[1], h))
        residual = torch.maximum(largest(first, energy.space), largest(second, energy.space))
        return MeanFieldState(h + (1 - self.damping) * second), Info(free_energy, residual)


def problem(energy: Energy) -> FactorizedFreeEnergy | FactorizedBits:
    """The energy, if it is one of independent beliefs.

    Raises:
        StructureError: If not; says how to get one.
    """
    if not isinstance(energy, FactorizedFreeEnergy | FactorizedBits):
        raise StructureError(
            f"MeanField: looks over beliefs, not over {energy.variable}: use infer(…, solver=MeanField()), "
            "or solve what MeanField().relax(energy, reduction) gives."
        )
    return energy


def difference(new: Tensor, old: Tensor) -> Tensor:
    """new − old, and 0 where both are infinite: what is forbidden stays so."""
    return torch.where(old.isinf() & (new == old), 0.0, new - old)


def largest(change: Tensor, space: Space) -> Tensor:
    """The largest entry of each sample, in absolute value: ``(*B, *event) → (*B)``."""
    return change.abs().flatten(-len(space.shape)).amax(-1)
