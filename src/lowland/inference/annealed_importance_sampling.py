"""Annealed importance sampling: how large is the sum of exp(−E) that no one can list?

    log Z = log Σ_x exp(−E(x)),   E_t = (1 − t) E_base + t E,   t from 0 to 1
    w = Π_k exp( −E_{t_k}(x_k) + E_{t_{k−1}}(x_k) ),   x_{k+1} drawn from x_k by a step that leaves exp(−E_{t_k}) as it is
    Z / Z_base = mean of w, exactly in expectation

Chains start where sampling is exact and are led over slowly, so that none has far to go. As log is concave, log Z is
underestimated on average, and likelihoods are overestimated: by little where the weights vary little, which the interval and the
effective number of chains tell.

Sources: Neal, Annealed Importance Sampling, Statistics and Computing 11 (2001); Salakhutdinov & Murray, On the Quantitative Analysis
of Deep Belief Networks, ICML 2008, eqs. 12–18, for the path between Boltzmann machines on which hidden bits are summed out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..energy import Energy
from ..energy.independent_bits import EliminatedBits, IndependentBits, flip
from ..energy.independent_gaussians import IndependentGaussians
from ..energy.reduction import FreeEnergy
from ..energy.restricted_boltzmann import GaussianBernoulli, RestrictedBoltzmann
from ..errors import DivergenceError, SpaceError, StructureError
from .choose import default_solver
from .solver import Solver

#: Standard errors on each side of a 95 % interval.
NORMAL_95 = 1.96


class LogPartition(NamedTuple):
    """What annealed importance sampling found of log Z.

    Attributes:
        value: The estimate of log Z, in units of energy (β = 1): nats.
        low: Lower end of the 95 % interval, by the spread of the weights: e to the value has that relative error.
        high: Upper end.
        effective: How many chains with equal weights would be as good.
        log_weights: ``(chains,)``, their logarithms; ``log_weights.var()`` is a better warning than the interval.
    """

    value: float
    low: float
    high: float
    effective: float
    log_weights: Tensor


@runtime_checkable
class Tractable(Protocol):
    """An energy of one variable that can be drawn from exactly and whose sum is known."""

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor: ...

    def log_partition(self) -> Tensor: ...


@dataclass(frozen=True)
class Geometric:
    """The path E_t = (1 − t) base + t energy, by steps of any sampler.

    Attributes:
        base: Where it begins.
        energy: Where it ends.
        solver: A sampler of exp(−E) that needs no burning in: Gibbs, MALA, HMC.
    """

    base: Energy
    energy: Energy
    solver: Solver

    def start(self, count: int, generator: torch.Generator | None) -> tuple[Tensor, float]:
        """So many exact samples of the base, and its log Z."""
        base: Any = self.base
        return base.draw(count, generator), float(base.log_partition())

    def move(
        self, value: Tensor, before: float, after: float, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """By how much the energy at ``value`` rises from ``before`` to ``after``, and a new value drawn at ``after``."""
        rise = (after - before) * (self.energy.value(value) - self.base.value(value))
        between = (1 - after) * self.base + after * self.energy
        state, _ = self.solver.step(between, self.solver.init(between, value, generator))
        return rise, state[0]


@dataclass(frozen=True)
class HiddenBits:
    """The path of two Boltzmann machines, (1 − t) base(x) + t E(x, z), with z summed out: two matrix products a step.

    Attributes:
        base: Bits that don't see each other; for real x Gaussians that don't, of the machine's own mean b and spread σ.
        machine: E(x, z).
    """

    base: IndependentBits | IndependentGaussians
    machine: RestrictedBoltzmann | GaussianBernoulli

    def start(self, count: int, generator: torch.Generator | None) -> tuple[Tensor, float]:
        hidden = len(self.machine.c) * math.log(2)
        return self.base.draw(count, generator), float(self.base.log_partition()) + hidden

    def move(
        self, value: Tensor, before: float, after: float, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        field, constant = self.machine.field("z", x=value)
        rise = (after - before) * (constant - self.base.value(value))
        rise = rise - (softplus(after * field) - softplus(before * field)).sum(-1)
        z = flip(after * field, generator)
        if isinstance(self.base, IndependentGaussians):
            mean = torch.lerp(self.base.mean, self.machine.mean("x", z=z), after)
            noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
            return rise, mean + self.base.spread * noise
        pull = torch.lerp(self.base.bias, self.machine.field("x", z=z)[0], after)
        return rise, flip(pull, generator).reshape(value.shape)


@torch.no_grad()
def annealed_importance_sampling(
    energy: Energy,
    base: Energy,
    solver: Solver | None = None,
    *,
    chains: int = 100,
    steps: int | Sequence[float] = 1000,
    generator: torch.Generator | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> LogPartition:
    """Estimate log Z of an energy of one variable, at β = 1.

    Args:
        energy: The energy; of a Boltzmann machine the one with its hidden layer summed out, ``machine.marginalize("z")``.
        base: Where the chains start: an energy of the same variable with ``draw`` and ``log_partition`` (`IndependentBits.of` the
            data, `IndependentGaussians`). It must not be 0 where the energy isn't +∞.
        solver: What moves the chains; by default `Gibbs` for bits. A Boltzmann machine's own path is taken without one.
        chains: How many, all at once.
        steps: How many temperatures, or the increasing numbers from 0 to 1 themselves.
        generator: Source of randomness.
        progress: Wraps the steps, for instance ``tqdm.tqdm``.

    Raises:
        StructureError: If the base can't be sampled exactly or has another space, or the solver is no sampler.
        SpaceError: If the numbers don't go up from 0 to 1.
        DivergenceError: If a weight is not finite.
    """
    if not isinstance(base, Tractable):
        raise StructureError(
            f"annealed_importance_sampling: wanted a base with `draw` and `log_partition` (IndependentBits), got {type(base).__name__}."
        )
    if energy.space != base.space:
        raise StructureError(
            f"annealed_importance_sampling: wanted a base over {energy.variable} in {energy.space!r}, got {base.variable} in "
            f"{base.space!r}."
        )
    times = _times(steps)
    path = _path(energy, base, solver)
    value, log_base = path.start(chains, generator)
    log_weights = torch.zeros(chains, dtype=torch.float64, device=value.device)
    moves: Iterable[tuple[float, float]] = list(pairwise(times))
    for before, after in progress(moves) if progress else moves:
        rise, value = path.move(value, before, after, generator)
        log_weights -= rise.double()
    if not bool(torch.isfinite(log_weights).all()):
        lost = int((~torch.isfinite(log_weights)).sum())
        raise DivergenceError(
            f"annealed_importance_sampling: {lost} of {chains} chains have a weight that is not finite: take more steps."
        )
    return _estimate(log_weights, log_base)


def _path(energy: Energy, base: Any, solver: Solver | None) -> Geometric | HiddenBits:
    if solver is None and isinstance(energy, EliminatedBits) and energy.name == "z":
        machine = energy.energy
        if energy.reduction == FreeEnergy(1.0) and _fits(base, machine):
            return HiddenBits(base, machine)
    solver = solver or default_solver(energy)
    if not solver.samples:
        raise StructureError(
            f"annealed_importance_sampling: wanted a sampler (Gibbs, MALA, HMC), got {type(solver).__name__}."
        )
    return Geometric(base, energy, solver)


def _fits(base: Any, machine: Any) -> bool:
    """Whether the two can be led into each other with the hidden bits summed out."""
    if isinstance(machine, GaussianBernoulli) and isinstance(base, IndependentGaussians):
        mean = machine.b.reshape(machine.spaces["x"].shape)
        return torch.equal(base.mean, mean) and bool((base.spread == machine.spread).all())
    return isinstance(machine, RestrictedBoltzmann) and isinstance(base, IndependentBits)


def _times(steps: int | Sequence[float]) -> list[float]:
    """From 0 to 1; half of an even number of steps go to the last tenth, where most of the change is."""
    if isinstance(steps, int):
        if steps < 2:
            raise SpaceError(f"annealed_importance_sampling: wanted steps ≥ 2, got {steps}.")
        early = steps // 2
        return [0.9 * k / early for k in range(early)] + [
            0.9 + 0.1 * k / (steps - early) for k in range(steps - early + 1)
        ]
    times = [float(time) for time in steps]
    if len(times) < 2 or times[0] != 0 or times[-1] != 1 or any(a >= b for a, b in pairwise(times)):
        raise SpaceError("annealed_importance_sampling: wanted numbers that go up from 0 to 1.")
    return times


def _estimate(log_weights: Tensor, log_base: float) -> LogPartition:
    count = len(log_weights)
    total = torch.logsumexp(log_weights, 0)
    value = log_base + float(total) - math.log(count)
    effective = float(torch.exp(2 * total - torch.logsumexp(2 * log_weights, 0)))
    # the relative standard error of the mean of w, which to first order is the standard error of its logarithm
    error = math.sqrt(max(1 / effective - 1 / count, 0.0) * count / max(count - 1, 1))
    return LogPartition(value, value - NORMAL_95 * error, value + NORMAL_95 * error, effective, log_weights)
