"""Several starts: a solver that goes downhill finds the low point of the valley it starts in, so start in many.

Source: Boender & Rinnooy Kan, Bayesian stopping rules for multistart global optimization, Mathematical Programming 37 (1987).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .cem import coloured, first_width, take
from .gradient import GradientDescent
from .solver import Info, Solver


class MultiStartState(NamedTuple):
    z: Tensor  # (*B, *event), the best of the starts so far
    inner: Any  # the solver's own state, with batch (K, *B)


@dataclass(frozen=True)
class MultiStart(Solver):
    """Another solver from several starts at once; its answer is the best of what they found.

    The first start is the one that is given; the others lie around it.

    Attributes:
        solver: What goes on from each start.
        starts: How many there are.
        width: Standard deviation of the starts, in units of z; ``None`` for a quarter of a box, 1 where there are no bounds.
        colour: The first axis of the event is time, and the power of the noise falls as frequency^−colour along it.
    """

    solver: Solver = field(default_factory=GradientDescent)
    starts: int = 8
    width: float | None = None
    colour: float = 0.0

    exempt: ClassVar[Mapping[str, str]] = {"compaction": "the state of the solver inside leads with the starts"}

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise SpaceError(f"MultiStart: wanted at least 1 start, got {self.starts}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> MultiStartState:
        event = len(energy.space.shape)
        noise = coloured(value, self.starts, event, self.colour, generator)
        noise[0] = 0
        starts = energy.space.project(value + first_width(energy.space, self.width) * noise)
        return MultiStartState(value, self.solver.init(energy, starts, generator))

    def step(self, energy: Energy, state: MultiStartState) -> tuple[MultiStartState, Info]:
        inner, info = self.solver.step(energy, state.inner)
        with torch.no_grad():
            energies = inner.energy if hasattr(inner, "energy") else energy.value(inner[0])
            index = torch.where(energies.isnan(), torch.inf, energies).argmin(0, keepdim=True)
        residual = None if info.residual is None else info.residual.gather(0, index)[0]
        return MultiStartState(take(inner[0], index)[0], inner), Info(info.energy.gather(0, index)[0], residual)
