"""Annealed Langevin sampling: shake hard at first, then less and less, down to the density itself.

    level i:  z ← z − η_i ∇E_i(z) + √(2 η_i / β) ξ,    η_i = η σ_i² / σ_last²

A noise-conditional energy is told the level, E_i(z) = E(z, σ_i); any other is flattened by it, E_i = (σ_last / σ_i)² E.

Source: Song & Ermon, Generative Modeling by Estimating Gradients of the Data Distribution, NeurIPS 2019, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Conditioned, Energy
from ..errors import SpaceError
from .langevin import Langevin, _noise
from .solver import Info, Solver


class AnnealedLangevinState(NamedTuple):
    z: Tensor  # (*B, *event)
    taken: int
    generator: torch.Generator | None


@dataclass(frozen=True)
class AnnealedLangevin(Solver):
    """Langevin steps at falling noise levels, and at the last one ever after.

    Attributes:
        rate: η > 0 at the last level, in units of z² per unit of energy.
        sigmas: Noise levels, falling, in units of z; see `noise_levels`.
        each: Steps at each level.
        beta: Inverse temperature > 0.
        level: The variable of a noise-conditional energy that is told σ; it must have been given, at any value.
    """

    rate: float
    sigmas: tuple[float, ...]
    each: int = 100
    beta: float = 1.0
    level: str = "sigma"

    samples: ClassVar[bool] = True

    @classmethod
    def example(cls) -> AnnealedLangevin:
        return cls(rate=0.02, sigmas=(4.0, 2.0, 1.0), each=10)

    def __post_init__(self) -> None:
        Langevin(self.rate, self.beta)  # the same settings, with the same limits
        falling = all(high > low for high, low in zip(self.sigmas, self.sigmas[1:], strict=False))
        if not self.sigmas or not falling or self.sigmas[-1] <= 0 or self.each < 1:
            raise SpaceError(
                f"AnnealedLangevin: wanted falling noise levels sigmas > 0 and each ≥ 1, got {self.sigmas} and {self.each}."
            )

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> AnnealedLangevinState:
        return AnnealedLangevinState(value, 0, generator)

    def step(self, energy: Energy, state: AnnealedLangevinState) -> tuple[AnnealedLangevinState, Info]:
        sigma = self.sigmas[min(state.taken // self.each, len(self.sigmas) - 1)]
        wider = (sigma / self.sigmas[-1]) ** 2
        rate = self.rate * wider
        if isinstance(energy, Conditioned) and self.level in energy.observed:
            told = torch.full_like(energy.observed[self.level], sigma)
            energy = Conditioned(energy.energy, {**energy.observed, self.level: told})
            energies, slope = energy.value_and_gradient(state.z)
        else:
            energies, slope = energy.value_and_gradient(state.z)
            slope = slope / wider
        z = torch.add(state.z, slope, alpha=-rate)
        z = z.add_(_noise(z, state.generator), alpha=(2 * rate / self.beta) ** 0.5)
        return AnnealedLangevinState(energy.space.project(z), state.taken + 1, state.generator), Info(energies)


def noise_levels(high: float, low: float, count: int) -> tuple[float, ...]:
    """Falling noise levels with a constant ratio.

    Args:
        high: The first, about the largest distance between two samples.
        low: The last, small enough not to be seen.
        count: How many, at least 2.

    Raises:
        SpaceError: If they don't fall.
    """
    if not high > low > 0 or count < 2:
        raise SpaceError(f"noise_levels: wanted high > low > 0 and count ≥ 2, got {high}, {low} and {count}.")
    return tuple(high * (low / high) ** (place / (count - 1)) for place in range(count))
