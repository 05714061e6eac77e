"""Langevin sampling: slide downhill and get shaken, so that values come out with density ∝ exp(−β E).

    ULA   z ← z − η ∇E(z) + √(2η/β) ξ,   ξ ~ N(0, 1)
    MALA  the same as a proposal, taken with probability min(1, exp(−β ΔE) q(z|z′)/q(z′|z))

Sources: Roberts & Tweedie, Bernoulli 2 (1996); Welling & Teh, ICML 2011. ULA has a bias of order η, MALA none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .gradient import spread
from .solver import Info, Solver


class LangevinState(NamedTuple):
    z: Tensor  # (*B, *event)
    generator: torch.Generator | None


@dataclass(frozen=True)
class Langevin(Solver):
    """Unadjusted Langevin (ULA): cheap, biased by O(rate). Values are projected back into their space.

    Attributes:
        rate: η > 0, in units of z² per unit of energy.
        beta: Inverse temperature > 0; ∞ is gradient descent.
    """

    rate: float
    beta: float = 1.0

    samples: ClassVar[bool] = True

    @classmethod
    def example(cls) -> Langevin:
        return cls(rate=0.02)

    def __post_init__(self) -> None:
        _check_settings(self, self.rate, self.beta)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> LangevinState:
        return LangevinState(value, generator)

    def step(self, energy: Energy, state: LangevinState) -> tuple[LangevinState, Info]:
        energies, slope = energy.value_and_gradient(state.z)
        z = torch.add(state.z, slope, alpha=-self.rate)
        z = z.add_(_noise(z, state.generator), alpha=(2 * self.rate / self.beta) ** 0.5)
        return LangevinState(energy.space.project(z), state.generator), Info(energies)


class MALAState(NamedTuple):
    z: Tensor  # (*B, *event)
    energy: Tensor  # (*B)
    slope: Tensor  # (*B, *event)
    generator: torch.Generator | None


@dataclass(frozen=True)
class MALA(Solver):
    """Metropolis-adjusted Langevin: the same proposal, accepted or refused so that the density is exact.

    Needs an unconstrained space. Tune the rate until about 57 % are accepted (Roberts & Rosenthal 1998), or let
    `adapt` do it.

    Attributes:
        rate: η > 0, in units of z² per unit of energy.
        beta: Inverse temperature > 0.
    """

    rate: float
    beta: float = 1.0

    samples: ClassVar[bool] = True

    @classmethod
    def example(cls) -> MALA:
        return cls(rate=0.3)

    def __post_init__(self) -> None:
        _check_settings(self, self.rate, self.beta)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> MALAState:
        return MALAState(value, *energy.value_and_gradient(value), generator)

    def step(self, energy: Energy, state: MALAState) -> tuple[MALAState, Info]:
        space = energy.space
        noise = _noise(state.z, state.generator)
        proposal = torch.add(state.z, state.slope, alpha=-self.rate)
        proposal = proposal.add_(noise, alpha=(2 * self.rate / self.beta) ** 0.5)
        energies, slope = energy.value_and_gradient(proposal)
        # log q(z|z′) − log q(z′|z) = uᵀ(ξ − u/2) with u = √(ηβ/2) (∇E(z) + ∇E(z′))
        u = (0.5 * self.rate * self.beta) ** 0.5 * (state.slope + slope)
        log_ratio = space.inner(u, torch.sub(noise, u, alpha=0.5)).add(state.energy - energies, alpha=self.beta)
        taken = accept(log_ratio, state.generator)
        here = spread(taken, space)
        moved = MALAState(
            torch.where(here, proposal, state.z),
            torch.where(taken, energies, state.energy),
            torch.where(here, slope, state.slope),
            state.generator,
        )
        return moved, Info(state.energy, accepted=taken)


def _check_settings(solver: Solver, rate: float, beta: float) -> None:
    if not rate > 0:
        raise SpaceError(f"{type(solver).__name__}: wanted a rate > 0, got {rate}.")
    if not beta > 0:
        raise SpaceError(f"{type(solver).__name__}: wanted an inverse temperature beta > 0, got {beta}.")


def _noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def accept(log_ratio: Tensor, generator: torch.Generator | None) -> Tensor:
    """True with probability min(1, exp(log_ratio)), for each sample: the Metropolis rule."""
    return log_ratio > -torch.empty_like(log_ratio).exponential_(generator=generator)


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
