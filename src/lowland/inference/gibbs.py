"""Gibbs sampling of bits: redraw each from its conditional, the others held fixed.

    p(s_i = 1 | rest) = σ( −β [E(s_i = 1) − E(s_i = 0)] )

Source: Geman & Geman, IEEE PAMI 6 (1984). With β → ∞ this is iterated conditional modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from ..spaces import Binary
from .langevin import _uniform
from .solver import Info, Solver


class GibbsState(NamedTuple):
    s: Tensor  # (*B, *event), zeros and ones
    generator: torch.Generator | None


@dataclass(frozen=True)
class Gibbs(Solver):
    """One step is one sweep over all the bits of a `Binary` variable.

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
        if not isinstance(energy.space, Binary):
            raise StructureError(
                f"Gibbs: wanted a variable of zeros and ones (Binary), got {energy.variable} in {energy.space!r}."
            )
        return GibbsState(value, generator)

    def step(self, energy: Energy, state: GibbsState) -> tuple[GibbsState, Info]:
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
