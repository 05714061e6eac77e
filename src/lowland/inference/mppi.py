"""Model predictive path integrals: every candidate has a say, exponentially less the higher it lies.

    z_k ~ N(μ, σ²),   w_k ∝ exp(−β E(z_k)),   μ ← Σ w_k z_k

The new mean is the posterior's, as seen by the candidates: −1/β log Σ exp(−β E) is the free energy that Williams et al. bound.

Source: Williams et al., Information Theoretic MPC for Model-Based Reinforcement Learning, ICRA 2017, algorithm 2.
Needs: energies alone. Finds: a low point near where it begins, smoothed over the width of the noise.
Differences: 1. Without a fixed β each sample has its own, set by its candidates. 2. The noise may narrow from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .cem import check_population, coloured, first_width, heights
from .solver import Info, Solver


class MPPIState(NamedTuple):
    z: Tensor  # (*B, *event), the mean
    width: Tensor  # (*B, *event), the deviation of the candidates
    generator: torch.Generator | None


@dataclass(frozen=True)
class MPPI(Solver):
    """Model predictive path integral control. Its answer is the weighted mean of the last candidates.

    The first axis of the event is time: noise may be correlated along it.

    Attributes:
        population: How many candidates a step draws for each sample.
        beta: Inverse temperature > 0, in 1 / (units of energy); ``None`` for ten over the height of the mean of the candidates'
            energies above the lowest, anew in each step.
        width: The standard deviation of the candidates, in units of z; ``None`` for a quarter of a box, 1 without bounds.
        narrow: What the deviation is multiplied by after each step, in (0, 1].
        colour: Power of the noise falls as frequency^−colour.
    """

    population: int = 300
    beta: float | None = None
    width: float | None = None
    narrow: float = 0.9
    colour: float = 0.0

    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_population(self, self.population, 1, self.width)
        if self.beta is not None and not self.beta > 0:
            raise SpaceError(f"MPPI: wanted an inverse temperature beta > 0, got {self.beta}.")
        if not 0 < self.narrow <= 1:
            raise SpaceError(f"MPPI: wanted narrow in (0, 1], got {self.narrow}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> MPPIState:
        return MPPIState(value, torch.full_like(value, first_width(energy.space, self.width)), generator)

    def step(self, energy: Energy, state: MPPIState) -> tuple[MPPIState, Info]:
        event = len(energy.space.shape)
        noise = coloured(state.z, self.population, event, self.colour, state.generator)
        candidates = energy.space.project(torch.addcmul(state.z, state.width, noise))
        energies = heights(energy, candidates)
        lowest = energies.amin(0)
        above = energies - lowest
        tiny = torch.finfo(above.dtype).tiny  # where all candidates lie equally high, all have the same say
        heat = self.beta * above if self.beta else 10 * above / _mean(above).clamp_min(tiny)
        weights = torch.softmax(-heat, 0)
        mean = (candidates * weights.reshape(*weights.shape, *[1] * event)).sum(0)
        return MPPIState(mean, self.narrow * state.width, state.generator), Info(lowest)


def _mean(above: Tensor) -> Tensor:
    """Over the candidates that are allowed."""
    allowed = above.isfinite()
    return torch.where(allowed, above, 0.0).sum(0) / allowed.sum(0).clamp_min(1)
