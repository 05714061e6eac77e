"""Contrastive divergence and its kin: push down the data, push up where the model's own chains arrive.

    dL/dθ = mean_data dE/dθ − mean_chains dE/dθ

The gradient of the negative log-likelihood, but for how far the chains are from exp(−E):

    CD-k         chains begin at the data, and take k steps
    persistent   chains go on where they were; fast weights push them on, away from where they have just been
    replay       chains begin at a store of earlier ends, or anew with a small probability

Pushes down: the data. Pushes up: the chains' ends. What could still go wrong is that the chains run away or, in CD-k, never leave the
neighbourhood of the data, so that what lies farther is not pushed up; `Guard` is for the first, the other two for the second.

Sources: Hinton, Neural Computation 14 (2002); Tieleman, ICML 2008; Tieleman & Hinton, Using Fast Weights to Improve Persistent
Contrastive Divergence, ICML 2009, section 4; Du & Mordatch, NeurIPS 2019, algorithm 1.
Differences: 1. A chain that begins anew begins at a batch whose every entry is shuffled over its samples, not at uniform noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from ..inference import Langevin, Solver
from .guard import Guard
from .objective import Loss, Objective, alone


class ContrastiveDivergence(Objective):
    """CD-k: mean E(data) − mean E(chains k steps from the data), in units of energy.

    Args:
        sampler: How a chain moves: `Gibbs`, `Langevin`, `MALA`, `HMC` or your own.
        steps: k ≥ 1.
        name: The variable that is sampled; others are given.
        guard: What is done about chains that run away.
    """

    no_collapse = "Chains find what is low besides the data, and it is pushed up; with few steps only near the data."
    tried_on = "real"

    @classmethod
    def example(cls) -> ContrastiveDivergence:
        return cls(Langevin(0.01), steps=5)

    def __init__(self, sampler: Solver, steps: int = 1, name: str = "x", guard: Guard | None = None) -> None:
        if not sampler.samples:
            raise StructureError(
                f"{type(self).__name__}: {type(sampler).__name__} looks for the lowest point; wanted a sampler (Gibbs, Langevin, HMC)."
            )
        if steps < 1:
            raise SpaceError(f"{type(self).__name__}: wanted steps ≥ 1, got {steps}.")
        self.sampler, self.steps, self.name = sampler, steps, name
        self.guard = guard or Guard()

    def start(self, energy: Energy, data: Tensor) -> Tensor:
        """Where the chains begin, ``(M, *event)``."""
        return data

    def end(self, chains: Tensor) -> None:
        """Take note of where they ended."""

    def push(self, owner: Energy, gap: Tensor) -> None:
        """Take note of mean E(data) − mean E(chains)."""

    @contextmanager
    def pushed(self, owner: Energy) -> Iterator[None]:
        """The context in which chains move."""
        yield

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        conditioned, data = alone(energy, batch, self.name)
        start = self.start(conditioned, data)
        found, energies = self.guard.sample(
            self.sampler, conditioned, start, self.steps, data, energy, lambda: self.pushed(energy)
        )
        self.end(found.value.detach())
        chains = found.energy
        gap = energies.mean() - chains.mean()
        parts = {"gap": -gap.detach(), "energy": energies.mean().detach(), "energy_chains": chains.mean().detach()}
        self.push(energy, gap)
        weight = self.guard.weight(conditioned)
        if weight:
            gap = gap + weight * (energies.square().mean() + chains.square().mean())
        return Loss(gap, parts)

    def state_dict(self) -> dict[str, Any]:
        return {"guard": self.guard.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.guard.load_state_dict(state["guard"])


class PersistentContrastiveDivergence(ContrastiveDivergence):
    """PCD: chains that go on from batch to batch, pushed on by fast weights if there are any.

    Args:
        sampler: How a chain moves.
        steps: k ≥ 1, between two batches.
        chains: How many; as many as samples in the first batch by default.
        fast_rate: How far the fast weights go down the slope at each batch, in units of parameter² per unit of energy; 0 for none.
        fast_decay: What is left of them from one batch to the next, in [0, 1).
        name: The variable that is sampled; the energy may have no other.
        guard: What is done about chains that run away.
    """

    no_collapse = "Chains that have had time to wander find what is low anywhere, and it is pushed up."

    @classmethod
    def example(cls) -> PersistentContrastiveDivergence:
        return cls(Langevin(0.01), steps=5, fast_rate=1e-3)

    def __init__(
        self,
        sampler: Solver,
        steps: int = 1,
        chains: int | None = None,
        fast_rate: float = 0.0,
        fast_decay: float = 0.95,
        name: str = "x",
        guard: Guard | None = None,
    ) -> None:
        super().__init__(sampler, steps, name, guard)
        if fast_rate < 0 or not 0 <= fast_decay < 1:
            raise SpaceError(
                f"{type(self).__name__}: wanted fast_rate ≥ 0 and fast_decay in [0, 1), got {fast_rate} and {fast_decay}."
            )
        self.count, self.fast_rate, self.fast_decay = chains, fast_rate, fast_decay
        self._chains: Tensor | None = None
        self._fast: dict[str, Tensor] = {}

    def start(self, energy: Energy, data: Tensor) -> Tensor:
        _unconditional(self, energy)
        if self._chains is None:
            return shuffled(data, self.count or len(data))
        return self._chains.to(data)

    def end(self, chains: Tensor) -> None:
        self._chains = chains

    def push(self, owner: Energy, gap: Tensor) -> None:
        if not self.fast_rate:
            return
        named = {name: parameter for name, parameter in owner.named_parameters() if parameter.requires_grad}
        slopes = torch.autograd.grad(gap, list(named.values()), retain_graph=True, materialize_grads=True)
        for (name, parameter), slope in zip(named.items(), slopes, strict=True):
            before = self._fast.get(name, torch.zeros_like(parameter)).to(parameter)
            self._fast[name] = (self.fast_decay * before - self.fast_rate * slope).detach()

    @contextmanager
    def pushed(self, owner: Energy) -> Iterator[None]:
        """Inside, the fast weights are added to the parameters."""
        held = {name: parameter for name, parameter in owner.named_parameters() if name in self._fast}
        before = {name: parameter.data for name, parameter in held.items()}
        for name, parameter in held.items():
            parameter.data = before[name] + self._fast[name].to(parameter)
        try:
            yield
        finally:
            for name, parameter in held.items():
                parameter.data = before[name]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "chains": self._chains, "fast": dict(self._fast)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._chains, self._fast = state["chains"], dict(state["fast"])


class ReplayContrastiveDivergence(ContrastiveDivergence):
    """Chains from a store of earlier ends, some of which begin anew: for energies that are networks.

    Args:
        sampler: How a chain moves; for networks, Langevin.
        steps: Of each chain, each time.
        capacity: How many ends are stored.
        fresh: Probability that a chain begins anew.
        begin: ``begin(data, count) → (count, *event)``: where; `shuffled` data by default.
        name: The variable that is sampled; the energy may have no other.
        guard: What is done about chains that run away.
    """

    no_collapse = (
        "Chains that go on for long find what is low anywhere, fresh ones what is low on the way; all is pushed up."
    )

    @classmethod
    def example(cls) -> ReplayContrastiveDivergence:
        return cls(Langevin(0.01), steps=5, capacity=100)

    def __init__(
        self,
        sampler: Solver,
        steps: int = 20,
        capacity: int = 10_000,
        fresh: float = 0.05,
        begin: Callable[[Tensor, int], Tensor] | None = None,
        name: str = "x",
        guard: Guard | None = None,
    ) -> None:
        super().__init__(sampler, steps, name, guard)
        if capacity < 1 or not 0 <= fresh <= 1:
            raise SpaceError(
                f"ReplayContrastiveDivergence: wanted capacity ≥ 1 and fresh in [0, 1], got {capacity} and {fresh}."
            )
        self.capacity, self.fresh, self.begin = capacity, fresh, begin or shuffled
        self._store: Tensor | None = None
        self._places: Tensor | None = None  # of the chains that are running

    def start(self, energy: Energy, data: Tensor) -> Tensor:
        _unconditional(self, energy)
        if self._store is None:
            self._store = self.begin(data, self.capacity)
        self._store = self._store.to(data)
        self._places = torch.randint(self.capacity, (len(data),), device=data.device)
        fresh = torch.rand(len(data), device=data.device) < self.fresh
        anew = self.begin(data, len(data)).to(data)
        return torch.where(fresh.reshape(-1, *[1] * (data.ndim - 1)), anew, self._store[self._places])

    def end(self, chains: Tensor) -> None:
        if self._store is not None and self._places is not None:
            self._store[self._places] = chains

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "store": None if self._store is None else self._store.clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._store = None if state["store"] is None else state["store"].clone()


def shuffled(data: Tensor, count: int) -> Tensor:
    """Noise on the data's own scale: each entry is drawn from that of all samples, ``(N, *event) → (count, *event)``."""
    flat = data.flatten(1)
    rows = torch.randint(len(flat), (count, flat.shape[1]), device=data.device)
    return flat.gather(0, rows).reshape(count, *data.shape[1:])


def _unconditional(objective: Objective, energy: Energy) -> None:
    if energy.batch_shape:
        raise StructureError(
            f"{type(objective).__name__}: chains outlive their batch, so the energy may have no variable but the one that is "
            "sampled: use ContrastiveDivergence, or sample all of them."
        )
