"""All paths through the states of a chain, and what they reduce to.

The lowest paths and the free energy have recursions of their own (`viterbi`, `scan`), matrix operations on the whole batch; a
draw is read off the forward pass; every other reduction, and the samples whose sums leave the range of the dtype, take the
recursion that all paths share.

Memory, in numbers beyond the energies: T·N·K·k for the k lowest paths, 2 T·N·K for the free energy or a draw (with a checkpoint every C
steps (4 C + T/C)·N·K for the free energy), T·N·K·w in double precision for the others, w being the width of the reduction.

Source: Rabiner, Proc. IEEE 77 (1989), sections III and V; for draws, Frühwirth-Schnatter, Journal of Time Series Analysis 15
(1994).
"""

from __future__ import annotations

from collections.abc import Sequence as Listed
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..spaces import NOTHING
from .reduction import FreeEnergy, KBest, Min, Reduction, Sample
from .scan import ScaledScan, forward_weights
from .structure import Level, Structure, reduce_paths
from .viterbi import lowest_path, lowest_paths, trace


@dataclass(frozen=True, eq=False)
class Trellis(Structure):
    """All paths through the states of a chain: one state at each position.

    Attributes:
        potentials: ``(B, T, K)``: the energy of each state at each position; +∞ forbids.
        initial: ``(K)`` or ``(B, K)``: the energy of each state at the beginning.
        transition: ``(K, K)``, or ``(B, T − 1, K, K)`` for each step: the energy of going from a state (row) to another (column).
        lengths: ``(B,)``: where each sample ends, 0 to T; all at T if left out.
        other_than: ``(B, T)``: a path to leave out, if any; three times the states, nine times the work.
        checkpoint: Steps between the sums kept by a free energy for its gradient; 0 keeps all.
    """

    potentials: Tensor
    initial: Tensor
    transition: Tensor
    lengths: Tensor | None = None
    other_than: Tensor | None = None
    checkpoint: int = 0

    def replaced(self, potentials: Tensor) -> Trellis:
        return replace(self, potentials=potentials)

    def augmented(self, right: Tensor, margin: float) -> Trellis:
        states = torch.arange(self.potentials.shape[-1], device=right.device)
        mistake = (right[..., None] != states) & (right[..., None] >= 0)
        return replace(self, potentials=torch.where(mistake, self.potentials - margin, self.potentials))

    def select(self, rows: Tensor) -> Trellis:
        """Some samples only: ``rows (M,)``."""
        return replace(
            self,
            potentials=self.potentials[rows],
            initial=self.initial if self.initial.ndim == 1 else self.initial[rows],
            transition=self.transition if self.transition.ndim == 2 else self.transition[rows],
            lengths=None if self.lengths is None else self.lengths[rows],
        )

    def without(self, path: Tensor) -> Trellis:
        """All paths but one, ``(B, T)``."""
        return replace(self, other_than=path)

    def reduce(self, reduction: Reduction) -> Tensor:
        if self.other_than is not None:
            others = self._others(self.other_than).reduce(reduction)
            return others if self.lengths is None else _filled(others, self.lengths == 0)
        if isinstance(reduction, Min):
            return self.along(self._lowest())
        if isinstance(reduction, KBest):
            return self._best(reduction.k)[1]
        if isinstance(reduction, FreeEnergy) and _is_number(reduction.beta):
            return self._free_energy(reduction)
        if isinstance(reduction, Sample) and _is_number(reduction.beta):
            free = replace(self, potentials=self.potentials.detach())._free_energy(FreeEnergy(reduction.beta))
            drawn = self.along(self._drawn(reduction))
            return (free.detach() + (drawn - drawn.detach())).masked_fill(free.isinf(), torch.inf)
        return self.reduce_by_logarithms(reduction)

    def read(self, reduction: Reduction) -> tuple[Tensor, Tensor]:
        fast = isinstance(reduction, (Min, KBest)) or (isinstance(reduction, Sample) and _is_number(reduction.beta))
        if self.other_than is not None or not fast:
            return super().read(reduction)
        with torch.no_grad():
            if isinstance(reduction, KBest):
                path, energies = self._best(reduction.k)
            else:
                path = self._drawn(reduction) if isinstance(reduction, Sample) else self._lowest()
                energies = self.along(path)
        return path.masked_fill(energies.isinf()[..., None], NOTHING), energies

    def value(self, share: Tensor) -> Tensor:
        """The state at each position, the likeliest where there are several; −1 beyond the end and where there is no path, ``(B, T)``."""
        most, state = share.max(-1)
        return torch.where(most > 0, state, NOTHING)

    def along(self, path: Tensor) -> Tensor:
        """The energy of paths ``(B, T) → (B)``; +∞ if one does not end where its sample ends."""
        count, positions, _ = self.potentials.shape
        there, state = path >= 0, path.clamp_min(0)
        total = self.potentials.gather(-1, state[..., None])[..., 0].where(there, 0.0).sum(1, dtype=torch.float64)
        if positions:
            first = self.initial.expand(count, -1).gather(-1, state[:, :1])[:, 0]
            total = total + first.where(there[:, 0], 0.0)
        if self.transition.ndim == 2:
            moves = self.transition.flatten()[state[:, :-1] * len(self.transition) + state[:, 1:]]
        else:
            rows = torch.arange(count, device=path.device)[:, None]
            moves = self.transition[rows, torch.arange(positions - 1, device=path.device), state[:, :-1], state[:, 1:]]
        total = total + moves.where(there[:, 1:], 0.0).sum(1, dtype=torch.float64)
        place = torch.arange(positions, device=path.device)
        inside = place < (positions if self.lengths is None else self.lengths[:, None])
        barred = (there != inside).any(1) | total.isposinf()
        return total.to(self.potentials.dtype).masked_fill(barred, torch.inf)

    def _lowest(self) -> Tensor:
        return lowest_path(self.initial, self.transition, self.potentials, self.lengths)

    def _best(self, k: int) -> tuple[Tensor, Tensor]:
        """The k lowest paths ``(B, k, T)`` and their energies ``(B, k)``."""
        paths, there = lowest_paths(self.initial, self.transition, self.potentials, self.lengths, k)
        energies = torch.stack([self.along(path) for path in paths.unbind(1)], 1)
        return paths, energies.masked_fill(~there, torch.inf)

    def _free_energy(self, reduction: FreeEnergy) -> Tensor:
        tensors = (self.initial, self.transition, self.potentials)
        slope = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        free, lost = ScaledScan.apply(*tensors, self.lengths, float(reduction.beta), self.checkpoint, slope)
        if not bool(lost.any()):
            return free
        rows = lost.nonzero()[:, 0]
        return free.index_copy(0, rows, self.select(rows).reduce_by_logarithms(reduction))

    @torch.no_grad()
    def _drawn(self, reduction: Sample) -> Tensor:
        """A path drawn with probability ∝ exp(−βE), ``(B, T)``, from the end to the beginning."""
        sums, weights, lost = forward_weights(
            self.initial, self.transition, self.potentials, self.lengths, float(reduction.beta)
        )
        # the greatest of weights over exponential variates is each with its probability
        chance = torch.empty_like(sums).exponential_(generator=reduction.generator)
        path = trace(sums.div_(chance), weights, self.lengths, torch.mul, torch.max)
        if bool(lost.any()):
            rows = lost.nonzero()[:, 0]
            some = self.select(rows)
            with torch.enable_grad():
                potentials = some.potentials.detach().requires_grad_()
                found = some.replaced(potentials).reduce_by_logarithms(reduction)
                path[rows] = self.value(torch.autograd.grad(found.sum(), potentials)[0])
        return path

    def reduce_by_logarithms(self, reduction: Reduction) -> Tensor:
        """Any reduction, in the log domain and in double precision, step by step."""
        count, positions, states = self.potentials.shape
        initial = self.initial.expand(count, states)
        transition = self.transition.reshape(len(self.transition) if self.transition.ndim == 4 else 1, -1)
        nothing = self.potentials.new_tensor([[0.0, torch.inf]])
        lengths = self.lengths
        if lengths is None:
            lengths = torch.full((count,), positions, device=self.potentials.device)
        levels = _Levels(positions, states, self.transition.ndim == 4, lengths)
        start = self.potentials.new_zeros(1, 1)
        return reduce_paths(reduction, start, levels, [initial, self.potentials.flatten(1), transition, nothing])

    def _others(self, path: Tensor) -> Trellis:
        """All paths but one, as a chain of three kinds of states: still on it, leaving it now, and having left it."""
        count, positions, states = self.potentials.shape
        place = torch.arange(positions, device=path.device)
        lengths = self.lengths if self.lengths is not None else torch.full((count,), positions, device=path.device)
        on = path[..., None] == torch.arange(states, device=path.device)
        ends = (place == lengths[:, None] - 1)[..., None]
        far = torch.inf
        unary = [
            self.potentials.masked_fill(~on | ends, far),
            self.potentials.masked_fill(on, far),
            self.potentials,
        ]
        step = self.transition
        none = torch.full_like(step, far)
        rows = [[step, step, none], [none, none, step], [none, none, step]]
        first = torch.full_like(self.initial, far)
        return replace(
            self,
            potentials=torch.cat(unary, -1),
            initial=torch.cat([self.initial, self.initial, first], -1),
            transition=torch.cat([torch.cat(row, -1) for row in rows], -2),
            other_than=None,
        )


def _filled(energies: Tensor, barred: Tensor) -> Tensor:
    return energies.masked_fill(barred if energies.ndim == 1 else barred[:, None], torch.inf)


def _is_number(beta: Any) -> bool:
    return not isinstance(beta, Tensor) or beta.numel() == 1


class _Levels(Listed[Level]):
    """The start; the states at each position; the end. Kinds of energies: initial, unary, transition, and 0 or +∞."""

    def __init__(self, positions: int, states: int, each: bool, lengths: Tensor) -> None:
        self.positions, self.states, self.each, self.lengths = positions, states, each, lengths
        self.state = torch.arange(states, device=lengths.device)
        self.pair = (self.state * states + self.state[:, None])[None]  # [to, from]

    def __len__(self) -> int:
        return self.positions + 1

    def __getitem__(self, position: Any) -> Level:
        if position > self.positions:
            raise IndexError(position)
        if position == self.positions:
            empty = self.lengths[:, None, None] == 0
            source = 1 + (self.lengths[:, None, None] - 1) * self.states + self.state
            barred = (empty & (self.state > 0)).to(torch.int64)
            return Level(torch.where(empty, 0, source), (None, None, None, barred))
        unary = (position * self.states + self.state)[None, :, None]
        if position == 0:
            return Level(torch.zeros_like(unary), (self.state[None, :, None], unary, None, None))
        source = (1 + (position - 1) * self.states + self.state).expand(1, self.states, -1)
        step = (position - 1) * self.states**2 if self.each else 0
        return Level(source, (None, unary.expand(-1, -1, self.states), self.pair + step, None))
