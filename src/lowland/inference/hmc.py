"""Hamiltonian Monte Carlo: give each value a push and let it roll over the landscape.

    p ~ N(0, 1);  L leapfrog steps of (z, p) under H = β E(z) + ½‖p‖²;  accept with probability min(1, exp(−ΔH))

Source: Neal, MCMC Using Hamiltonian Dynamics, Handbook of MCMC (2011), section 5.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .gradient import spread
from .langevin import _check_settings, _noise, accept
from .solver import Info, Solver


class HMCState(NamedTuple):
    z: Tensor  # (*B, *event)
    energy: Tensor  # (*B)
    slope: Tensor  # (*B, *event)
    generator: torch.Generator | None


@dataclass(frozen=True)
class HMC(Solver):
    """Hamiltonian Monte Carlo with leapfrog steps. Needs an unconstrained space; `adapt` finds a rate.

    Attributes:
        rate: Length ε > 0 of a leapfrog step, in units of z per unit of √mass (the mass is 1).
        leapfrog: L ≥ 1, how many leapfrog steps make one proposal.
        beta: Inverse temperature > 0.
    """

    rate: float
    leapfrog: int = 10
    beta: float = 1.0

    samples: ClassVar[bool] = True

    @classmethod
    def example(cls) -> HMC:
        return cls(rate=0.3, leapfrog=5)

    def __post_init__(self) -> None:
        _check_settings(self, self.rate, self.beta)
        if self.leapfrog < 1:
            raise SpaceError(f"HMC: wanted at least 1 leapfrog step, got {self.leapfrog}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> HMCState:
        return HMCState(value, *energy.value_and_gradient(value), generator)

    def step(self, energy: Energy, state: HMCState) -> tuple[HMCState, Info]:
        space = energy.space
        push = self.rate * self.beta
        momentum = _noise(state.z, state.generator)
        kinetic = space.inner(momentum, momentum)
        z, energies = state.z, state.energy
        slope = state.slope
        momentum = torch.add(momentum, slope, alpha=-0.5 * push)
        for i in range(self.leapfrog):
            z = torch.add(z, momentum, alpha=self.rate)
            energies, slope = energy.value_and_gradient(z)
            momentum = torch.add(momentum, slope, alpha=-push if i + 1 < self.leapfrog else -0.5 * push)
        log_ratio = self.beta * (state.energy - energies) + 0.5 * (kinetic - space.inner(momentum, momentum))
        taken = accept(log_ratio, state.generator)
        here = spread(taken, space)
        moved = HMCState(
            torch.where(here, z, state.z),
            torch.where(taken, energies, state.energy),
            torch.where(here, slope, state.slope),
            state.generator,
        )
        return moved, Info(state.energy, accepted=taken)
