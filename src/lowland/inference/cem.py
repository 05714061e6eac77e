"""The cross-entropy method: draw candidates, keep the best, draw the next ones from where those lie.

    CEM          z_k ~ N(μ, σ²);   μ, σ ← mean and deviation of the elites
    gradient CEM the candidates move downhill before the elites are chosen
    iCEM         noise coloured over time, fewer candidates each time, elites kept, the best one ever is the answer

Sources: Rubinstein, Methodology and Computing in Applied Probability 1 (1999); Bharadhwaj, Xie & Shkurti, L4DC 2020, for gradients;
Pinneri et al., Sample-efficient Cross-Entropy Method for Real-time Planning, CoRL 2020, for iCEM.
Needs: energies alone (gradient CEM: slopes). Finds: a low point, where the first candidates show the way to it.
Differences from iCEM: Kept elites are not evaluated again within a search. A plan that is a step on ends with its last action once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from ..spaces import Box, Space
from .solver import Info, Solution, Solver


class CEMState(NamedTuple):
    z: Tensor  # (*B, *event), the mean of the next candidates
    width: Tensor  # (*B, *event), their standard deviation
    generator: torch.Generator | None


@dataclass(frozen=True)
class CEM(Solver):
    """The cross-entropy method. Its answer is the mean of the last elites.

    Attributes:
        population: How many candidates a step draws for each sample.
        elites: How many of them the next mean and deviation are taken of.
        width: The first standard deviation, in units of z; ``None`` for a quarter of a box, 1 where there are no bounds.
        floor: The deviation never falls below this, in units of z.
    """

    population: int = 300
    elites: int = 30
    width: float | None = None
    floor: float = 0.0

    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_population(self, self.population, self.elites, self.width)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> CEMState:
        return CEMState(value, torch.full_like(value, first_width(energy.space, self.width)), generator)

    def step(self, energy: Energy, state: CEMState) -> tuple[CEMState, Info]:
        noise = draw(state.z, self.population, state.generator)
        candidates = energy.space.project(torch.addcmul(state.z, state.width, noise))
        candidates, energies = self._look(energy, candidates)
        lowest, best = energies.topk(self.elites, 0, largest=False)
        width, mean = torch.std_mean(take(candidates, best), 0, correction=min(1, self.elites - 1))
        if self.floor:
            width = width.clamp_min(self.floor)
        return CEMState(mean, width, state.generator), Info(lowest[0])

    def _look(self, energy: Energy, candidates: Tensor) -> tuple[Tensor, Tensor]:
        return candidates, heights(energy, candidates)


@dataclass(frozen=True)
class GradientCEM(CEM):
    """CEM whose candidates take steps of projected gradient descent before the elites are chosen.

    Attributes:
        rate: η > 0 of those steps, in units of z² per unit of energy.
        moves: How many there are.
    """

    rate: float = 0.1
    moves: int = 1

    def _look(self, energy: Energy, candidates: Tensor) -> tuple[Tensor, Tensor]:
        for _ in range(self.moves):
            slope = energy.value_and_gradient(candidates)[1]
            candidates = energy.space.project(candidates - self.rate * slope.nan_to_num(0.0, 0.0, 0.0))
        return candidates, heights(energy, candidates)


class ICEMState(NamedTuple):
    z: Tensor  # (*B, *event), the best candidate there was
    mean: Tensor  # (*B, *event)
    width: Tensor  # (*B, *event)
    kept: Tensor  # (*B, E, *event), those of the last elites that compete again; the mean, before there are any
    energies: Tensor  # (*B, E), theirs
    taken: int
    generator: torch.Generator | None


@dataclass(frozen=True)
class ICEM(Solver):
    """The improved cross-entropy method. Its answer is the best candidate there ever was.

    The first axis of the event is time: noise is correlated along it.

    Attributes:
        population: How many candidates the first step draws for each sample.
        elites: How many of them the next mean and deviation are taken of.
        width: The first standard deviation, in units of z; ``None`` for a quarter of a box, 1 where there are no bounds.
        colour: Power of the noise falls as frequency^−colour: 0 is white, 2 a random walk.
        decay: Each step draws this many times fewer candidates, but at least twice as many as there are elites.
        keep: The part of the elites that competes again in the next step.
        momentum: The part of the old mean and deviation that stays.
    """

    population: int = 300
    elites: int = 30
    width: float | None = None
    colour: float = 1.0
    decay: float = 1.25
    keep: float = 0.3
    momentum: float = 0.1

    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_population(self, self.population, self.elites, self.width)
        if not (self.colour >= 0 and self.decay >= 1 and 0 <= self.keep <= 1 and 0 <= self.momentum < 1):
            raise SpaceError(
                "ICEM: wanted colour ≥ 0, decay ≥ 1, keep in [0, 1] and momentum in [0, 1), "
                f"got {self.colour}, {self.decay}, {self.keep} and {self.momentum}."
            )

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> ICEMState:
        batch = value.ndim - len(energy.space.shape)
        energies = heights(energy, value.unsqueeze(0)).movedim(0, -1)
        width = torch.full_like(value, first_width(energy.space, self.width))
        return ICEMState(value, value, width, value.unsqueeze(batch), energies, 0, generator)

    def resume(
        self, energy: Energy, last: Solution, move: Callable[[Tensor], Tensor], generator: torch.Generator | None = None
    ) -> ICEMState:
        """As for any solver; what was kept of the last elites competes in the first step, too."""
        state = self.init(energy, energy.space.project(move(last.value)), generator)
        if not isinstance(last.state, ICEMState):
            return state
        batch = state.energies.ndim - 1
        kept = energy.space.project(move(last.state.kept))
        energies = heights(energy, kept.movedim(batch, 0)).movedim(0, -1)
        return state._replace(kept=kept, energies=energies)

    @property
    def _again(self) -> int:
        """How many elites compete again."""
        return max(1, round(self.keep * self.elites))

    def step(self, energy: Energy, state: ICEMState) -> tuple[ICEMState, Info]:
        count = max(round(self.population * self.decay**-state.taken), 2 * self.elites)
        noise = coloured(state.z, count, len(energy.space.shape), self.colour, state.generator)
        noise[0] = 0  # the mean itself competes
        candidates = energy.space.project(torch.addcmul(state.mean, state.width, noise))
        energies = heights(energy, candidates)
        batch = state.energies.ndim - 1
        candidates = torch.cat([candidates, state.kept.movedim(batch, 0)])
        energies = torch.cat([energies, state.energies.movedim(-1, 0)])
        lowest, best = energies.topk(self.elites, 0, largest=False)
        elites = take(candidates, best)
        width, mean = torch.std_mean(elites, 0, correction=min(1, self.elites - 1))
        mean = torch.lerp(mean, state.mean, self.momentum)
        width = torch.lerp(width, state.width, self.momentum)
        kept, found = elites[: self._again].movedim(0, batch), lowest[: self._again].movedim(0, -1)
        return ICEMState(elites[0], mean, width, kept, found, state.taken + 1, state.generator), Info(lowest[0])


def check_population(solver: Any, population: int, elites: int, width: float | None) -> None:
    """Nothing, if there can be so many elites and such a width.

    Raises:
        SpaceError: Otherwise.
    """
    if not 1 <= elites <= population:
        raise SpaceError(
            f"{type(solver).__name__}: wanted 1 ≤ elites ≤ population, got {elites} elites of {population}."
        )
    if width is not None and not width > 0:
        raise SpaceError(f"{type(solver).__name__}: wanted a width > 0, got {width}.")


def first_width(space: Space, width: float | None) -> float:
    """The deviation to begin with: what was asked for, else a quarter of a box, else 1."""
    if width is not None:
        return width
    across = space.high - space.low if isinstance(space, Box) else torch.inf
    return across / 4 if across < torch.inf else 1.0


def draw(like: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """White noise for each candidate: ``(count, *like)``."""
    return torch.randn((count, *like.shape), generator=generator, device=like.device, dtype=like.dtype)


def coloured(like: Tensor, count: int, event: int, colour: float, generator: torch.Generator | None) -> Tensor:
    """Noise of mean 0 and variance 1 whose power falls as frequency^−colour along the first of the ``event`` last axes.

    Source: Timmer & König, Astronomy and Astrophysics 300 (1995).
    """
    white = draw(like, count, generator)
    if colour == 0 or event == 0 or white.shape[-event] == 1:
        return white
    length = white.shape[-event]
    frequency = torch.fft.rfftfreq(length, device=like.device, dtype=like.dtype)
    frequency[0] = frequency[1]  # the lowest there is: a mean of its own for each candidate
    gain = frequency ** (-colour / 2)
    doubled = torch.full_like(gain, 2.0)  # how often each frequency occurs in a spectrum of real numbers
    doubled[0] = 1
    if length % 2 == 0:
        doubled[-1] = 1
    gain = gain / (doubled * gain.square()).sum().div(length).sqrt()
    spectrum = torch.fft.rfft(white, dim=-event, norm="ortho")
    return torch.fft.irfft(spectrum * gain.reshape(-1, *[1] * (event - 1)), n=length, dim=-event, norm="ortho")


def heights(energy: Energy, candidates: Tensor) -> Tensor:
    """The energy of each candidate ``(K, *B)``; one that is not a number counts as forbidden."""
    return energy.value(candidates).nan_to_num(torch.inf, torch.inf, -torch.inf)


def take(candidates: Tensor, index: Tensor) -> Tensor:
    """Candidates by their place, each sample its own: ``(K, *B, *event)`` and ``(E, *B)`` → ``(E, *B, *event)``."""
    index = index.reshape(*index.shape, *[1] * (candidates.ndim - index.ndim))
    return candidates.gather(0, index.expand(-1, *candidates.shape[1:]))
