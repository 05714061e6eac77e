"""Gibbs sampling: redraw each unknown from its conditional, the others held fixed.

    p(s_i = 1 | rest) = σ( −β [E(s_i = 1) − E(s_i = 0)] )        bits, one by one or in groups that don't interact

An energy that can redraw everything at once (a Boltzmann machine's layer, through the layer that was marginalised) has a
`redraw`, and a step is that: two matrix products, whatever the number of units.

Source: Geman & Geman, IEEE PAMI 6 (1984). With β → ∞ this is iterated conditional modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from ..spaces import Binary
from .langevin import _uniform
from .solver import Info, Solver


@runtime_checkable
class Redrawn(Protocol):
    """An energy of one variable that knows how to redraw all of it."""

    def redraw(
        self, value: Tensor, beta: float, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """The energy at ``value`` and a new value, such that exp(−β E) stays as it is; ``None`` if not at this β."""
        ...


class GibbsState(NamedTuple):
    s: Tensor  # (*B, *event), zeros and ones
    generator: torch.Generator | None


@dataclass(frozen=True)
class Gibbs(Solver):
    """One step is one sweep over all the bits of a `Binary` variable, or one `redraw` of an energy that has it.

    Attributes:
        beta: Inverse temperature > 0.
        blocks: Groups of (flat) positions redrawn at once. Only right if the bits of a group don't interact and the
            energy is linear in each bit (Ising models, Boltzmann machines by layers or colours): the slope is then
            E(1) − E(0) for all of them. By default bits are redrawn one by one, for any energy.
    """

    beta: float = 1.0
    blocks: Sequence[Tensor] | None = None

    samples: ClassVar[bool] = True
    tried_on: ClassVar[str] = "bits"

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise SpaceError(f"Gibbs: wanted an inverse temperature beta > 0, got {self.beta}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> GibbsState:
        if not isinstance(energy.space, Binary) and not isinstance(energy, Redrawn):
            raise StructureError(
                f"Gibbs: wanted a variable of zeros and ones (Binary) or an energy with `redraw`, got {energy.variable} in "
                f"{energy.space!r}."
            )
        return GibbsState(value, generator)

    def step(self, energy: Energy, state: GibbsState) -> tuple[GibbsState, Info]:
        if self.blocks is None and isinstance(energy, Redrawn):
            drawn = energy.redraw(state.s, self.beta, state.generator)
            if drawn is not None:
                return GibbsState(drawn[1], state.generator), Info(drawn[0])
            if not isinstance(energy.space, Binary):
                raise StructureError(
                    f"Gibbs: {type(energy).__name__} can't redraw {energy.variable} at beta = {self.beta:g}; was another variable "
                    "marginalised at another beta, or minimised?"
                )
        before = energy.value(state.s)
        s = state.s.clone()
        flat = s.view(*before.shape, -1)
        for block in self.blocks if self.blocks is not None else range(flat.shape[-1]):
            if self.blocks is None:
                flat[..., block] = 1
                gap = energy.value(s)
                flat[..., block] = 0
                gap = gap - energy.value(s)
            else:
                gap = energy.value_and_gradient(s)[1].reshape(flat.shape)[..., block]
            flat[..., block] = (_uniform(gap, state.generator) < torch.sigmoid(-self.beta * gap)).to(s.dtype)
        return GibbsState(s, state.generator), Info(before)
