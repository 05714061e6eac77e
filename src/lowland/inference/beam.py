"""Beam search: from left to right, keep the few beginnings of lowest energy; a width of 1 is the greedy search.

    E(y_1 … y_t v) = E(y_1 … y_t) − log p(v | y_1 … y_t, x)        for every symbol v of every beginning that was kept

    score(y) = E(y) / ((5 + |y|) / 6)^α  −  c Σ_s log min(1, Σ_t a_ts)       of what has ended: low is good

A beginning may end where the end is among the few best ways on: to stop anywhere would often cost less than to say all that there is.
α makes up for what a longer sequence pays, c for parts of x that nobody looked at (a_ts: attention of the t-th symbol). The search is over
when nothing that goes on can still end better than what has ended.

Source: Wu et al., Google's Neural Machine Translation System (2016), section 7, eq. 14; with α = 0, c = 0 the score is the energy.
Needs: an energy that is read symbol by symbol, see `stepwise`. Finds: the lowest, if the beam is wide enough not to lose its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..energy import Energy, stepwise
from ..errors import SpaceError, StructureError
from ..spaces import NOTHING, Sequence
from .solver import Info, Solver


class BeamState(NamedTuple):
    y: Tensor  # (N, T), or (best, N, T): what has ended best; where nothing has, the best beginning
    beginnings: Tensor  # (N, W, T)
    energies: Tensor  # (N, W), of the beginnings; +∞ for a place that is not taken
    symbol: Tensor  # (N, W), the last of each
    ended: Tensor  # (N, best, T)
    paid: Tensor  # (N, best), energies of what has ended
    scores: Tensor  # (N, best)
    covered: Tensor | None  # (N, W, S), attention so far
    memory: Any  # of the network: leads with (N, W)
    taken: int


@dataclass(frozen=True)
class Beam(Solver):
    """Look for the sequence of lowest energy among the continuations of the few best beginnings.

    Attributes:
        width: W, how many beginnings are kept.
        best: How many sequences to find; with more than one the value leads with them, ``(best, *B, T)``, the best first.
        length_weight: α ≥ 0.
        coverage_weight: c ≥ 0; needs a network that tells its attention.
        forbidden: Symbols that must not occur.
        prefix: Symbols that every sequence must begin with.
    """

    width: int = 5
    best: int = 1
    length_weight: float = 0.0
    coverage_weight: float = 0.0
    forbidden: tuple[int, ...] = ()
    prefix: tuple[int, ...] = ()

    exempt: ClassVar[Mapping[str, str]] = {"unroll": "a choice among symbols has no slope"}
    look_every: ClassVar[int] = 1
    tried_on: ClassVar[str] = "sequence"

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.width:
            raise SpaceError(f"Beam: wanted 1 ≤ best ≤ width, got {self.best} and {self.width}.")
        if min(self.length_weight, self.coverage_weight) < 0:
            raise SpaceError(f"Beam: wanted weights ≥ 0, got {self.length_weight} and {self.coverage_weight}.")

    def start(self, energy: Energy, known: Mapping[str, Any], generator: torch.Generator | None = None) -> Tensor:
        lead = () if self.best == 1 else (self.best,)
        shape = (*lead, *(energy.batch_shape or (1,)), *energy.space.shape)
        return torch.full(shape, NOTHING, dtype=torch.int64, device=energy.device)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> BeamState:
        space, lead = check_sequence(self, energy), value.ndim - 2
        if lead != (self.best > 1) or (lead and len(value) != self.best):
            raise SpaceError(
                f"Beam: wanted a start (N, T), or ({self.best}, N, T) for the best {self.best}, got {tuple(value.shape)}."
            )
        outside = [symbol for symbol in (*self.forbidden, *self.prefix) if not 0 <= symbol < space.vocabulary]
        if outside or len(self.prefix) > space.length or set(self.prefix) & set(self.forbidden):
            raise SpaceError(
                f"Beam: wanted symbols from 0 to {space.vocabulary - 1}, at most {space.length} to begin with and none of them forbidden, "
                f"got prefix {self.prefix} and forbidden {self.forbidden}."
            )
        count, length = value.shape[-2:]
        if len(set(self.forbidden)) == space.vocabulary:
            raise SpaceError(f"Beam: all {space.vocabulary} symbols are forbidden, which leaves nothing to write.")
        reference = energy.reference
        energies = torch.full(
            (count, self.width), torch.inf, device=value.device, dtype=None if reference is None else reference.dtype
        )
        energies[:, 0] = 0.0
        return BeamState(
            value,
            value.new_full((count, self.width, length), NOTHING),
            energies,
            value.new_full((count, self.width), space.vocabulary),
            value.new_full((count, self.best, length), NOTHING),
            energies.new_full((count, self.best), torch.inf),
            energies.new_full((count, self.best), torch.inf),
            None,
            stepwise(energy).begin(count, self.width),
            0,
        )

    def step(self, energy: Energy, state: BeamState) -> tuple[BeamState, Info]:
        space, steps = check_sequence(self, energy), stepwise(energy)
        end, at = space.vocabulary, state.taken
        costs, memory = steps.extend(state.symbol, state.memory)
        costs = self._allowed(costs, at, end)
        covered = self._seen(steps.attention(memory), state.covered)
        few = min(self.width, end)  # of each beginning no more than that many can be among the best
        costs_on, symbols = costs[..., :end].topk(few, largest=False)
        on = torch.nn.functional.pad(
            (state.energies[..., None] + costs_on).flatten(1), (0, self.width), value=torch.inf
        )
        energies, place = on.topk(self.width, largest=False)
        ends = state.energies + costs[..., end]
        if at < space.length:  # an end that is not among the best ways on would be taken for being short alone
            last = torch.cat([energies, ends], 1).kthvalue(self.width, 1, keepdim=True).values
            ends = ends.masked_fill(ends > last, torch.inf)
        scores = ends / self._length(at)
        if covered is not None:
            scores = scores - self.coverage_weight * covered.clamp(1e-6, 1.0).log().sum(-1)
        scores, kept = torch.cat([state.scores, scores], 1).topk(self.best, largest=False)
        ended = rows(torch.cat([state.ended, state.beginnings], 1), kept)
        paid = torch.cat([state.paid, ends], 1).gather(1, kept)
        if at == space.length:
            energies, beginnings, symbol = torch.full_like(state.energies, torch.inf), state.beginnings, state.symbol
        else:
            place = place.clamp_max(self.width * few - 1)  # where there are fewer ways on than places
            parent, symbol = place // few, symbols.flatten(1).gather(1, place)
            if self.width == 1:
                beginnings = state.beginnings.clone()
            else:
                beginnings = rows(state.beginnings, parent)
                memory = tree_map(lambda part: rows(part, parent) if isinstance(part, Tensor) else part, memory)
                covered = None if covered is None else rows(covered, parent)
            beginnings[..., at] = symbol.masked_fill(energies.isinf(), NOTHING)
        best = torch.where(scores[..., None].isfinite(), ended, beginnings[:, : self.best])
        y = best[:, 0] if state.y.ndim == 2 else best.transpose(0, 1)
        # what goes on pays no less, and is divided by no more than at full length
        over = energies.amin(1) / self._length(space.length) >= scores[:, -1]
        over = over | energies.isinf().all(1)
        lowest = torch.where(scores[:, 0].isfinite(), scores[:, 0], energies[:, 0])
        info = Info(lowest.expand(y.shape[:-1]), (~over).to(lowest.dtype).expand(y.shape[:-1]))
        return BeamState(y, beginnings, energies, symbol, ended, paid, scores, covered, memory, at + 1), info

    def energies(self, state: BeamState) -> Tensor:
        return state.paid[:, 0] if state.y.ndim == 2 else state.paid.T

    def _allowed(self, costs: Tensor, at: int, end: int) -> Tensor:
        """+∞ for what must not come now."""
        barred = torch.zeros(end + 1, dtype=torch.bool, device=costs.device)
        barred[list(self.forbidden)] = True
        if at < len(self.prefix):
            barred[:] = True
            barred[self.prefix[at]] = False
        return costs.masked_fill(barred, torch.inf) if bool(barred.any()) else costs

    def _length(self, length: int) -> float:
        return ((5 + length) / 6) ** self.length_weight

    def _seen(self, attention: Tensor | None, covered: Tensor | None) -> Tensor | None:
        if self.coverage_weight == 0:
            return None
        if attention is None:
            raise StructureError("Beam: coverage needs a network that tells its attention; leave coverage_weight at 0.")
        return attention if covered is None else covered + attention


def check_sequence(solver: Solver, energy: Energy) -> Sequence:
    """The space of the sequence that is looked for.

    Raises:
        StructureError: If the variable is no sequence.
    """
    if not isinstance(energy.space, Sequence):
        raise StructureError(f"{type(solver).__name__}: wanted a Sequence, got {energy.variable} in {energy.space!r}.")
    return energy.space


def rows(parts: Tensor, index: Tensor) -> Tensor:
    """Some of the sequences of each sample: ``(N, W, …)`` and ``(N, M)`` → ``(N, M, …)``."""
    return parts[torch.arange(len(parts), device=parts.device)[:, None], index]
