"""Acceptors: which strings of labels are allowed, as a deterministic automaton, one for all samples or one for each.

    state ← next[state, label],   −1: not allowed

Composing a lattice with an acceptor keeps the paths that it accepts; being deterministic, it counts none twice. Where a
label stands for nothing (ink that is no digit), `spell` says so, and `spelling` accepts every way to write one string.

Source: Mohri, Pereira & Riley, Weighted Finite-State Transducers in Speech Recognition, Computer Speech & Language 16 (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import NOTHING
from .grammar import automaton


class Incoming(NamedTuple):
    """The ways into each state, padded to the same number n."""

    state: Tensor  # (B | 1, Q, n): the state before
    label: Tensor  # (B | 1, Q, n): the label read
    arc: Tensor  # (B | 1, Q, n): state · C + label, or Q · C where there is none


@dataclass(frozen=True, eq=False)
class Acceptor:
    """A deterministic automaton over labels 0 … C − 1; state 0 comes first.

    Attributes:
        next: ``(B | 1, Q, C)`` int64: the state after reading a label, −1 where it is not allowed.
        final: ``(B | 1, Q)`` bool: where a string may end.

    Raises:
        SpaceError: If the shapes don't fit or a next state does not exist.
    """

    next: Tensor
    final: Tensor

    def __post_init__(self) -> None:
        if self.next.ndim != 3 or self.final.shape != self.next.shape[:2]:
            raise SpaceError(
                f"Acceptor: wanted next (B | 1, Q, C) and final (B | 1, Q), got {tuple(self.next.shape)} and {tuple(self.final.shape)}."
            )
        if bool((self.next >= self.states).any()):
            raise SpaceError(f"Acceptor: wanted next states below {self.states}, got {int(self.next.max())}.")

    @classmethod
    def of(cls, grammar: str, labels: int, **words: int | tuple[int, ...]) -> Acceptor:
        """The strings that a regular expression over words describes.

            Acceptor.of("junk* (digit junk*)+", 11, digit=tuple(range(10)), junk=10)

        Args:
            grammar: Words put one after the other, with ``( )``, ``|``, ``*``, ``+``, ``?``, ``{3}`` and ``{2,8}``.
            labels: C, how many labels there are.
            **words: The label or labels that each word stands for.

        Raises:
            UsageError: If the grammar can't be read, with the place.
        """
        sets = {word: (label,) if isinstance(label, int) else tuple(label) for word, label in words.items()}
        wrong = [label for values in sets.values() for label in values if not 0 <= label < labels]
        if wrong:
            raise SpaceError(f"Acceptor.of: wanted labels from 0 to {labels - 1}, got {wrong[0]}.")
        return cls(*automaton(grammar, labels, sets))

    @classmethod
    def anything(cls, labels: int) -> Acceptor:
        """Every string of labels."""
        return cls(torch.zeros(1, 1, labels, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool))

    @property
    def states(self) -> int:
        """Q."""
        return self.next.shape[1]

    @property
    def labels(self) -> int:
        """C."""
        return self.next.shape[2]

    def to(self, device: torch.device | str) -> Acceptor:
        """The same on another device."""
        return Acceptor(self.next.to(device), self.final.to(device))

    def __and__(self, other: Acceptor) -> Acceptor:
        """Strings that both accept: states are pairs, counted as ``own · other.states + other's``."""
        one, two = self.next[:, :, None], other.next[:, None]
        both = torch.where((one < 0) | (two < 0), NOTHING, one * other.states + two)
        final = self.final[:, :, None] & other.final[:, None]
        return Acceptor(both.flatten(1, 2), final.flatten(1, 2))

    def accepts(self, labels: Tensor) -> Tensor:
        """Whether each string ``(B, L)``, −1 where there is nothing, is allowed: ``(B)``."""
        rows = torch.arange(len(labels), device=labels.device)
        table = self.next.expand(len(labels), -1, -1)
        state = torch.zeros_like(rows)
        for label in labels.unbind(1):
            read = table[rows, state.clamp_min(0), label.clamp_min(0)]
            state = torch.where(label < 0, state, torch.where(state < 0, NOTHING, read))
        return (state >= 0) & self.final.expand(len(labels), -1)[rows, state.clamp_min(0)]

    @cached_property
    def incoming(self) -> Incoming:
        """The ways into each state."""
        count, states, labels = self.next.shape
        arcs = states * labels
        target = torch.where(self.next < 0, states, self.next).reshape(count, arcs)
        target, order = target.sort(dim=1, stable=True)
        degree = torch.zeros(count, states + 1, dtype=torch.int64, device=target.device)
        degree.scatter_add_(1, target, torch.ones_like(target))
        rank = torch.arange(arcs, device=target.device) - (degree.cumsum(1) - degree).gather(1, target)
        rank = torch.where(target < states, rank, 0)  # the many ways that are not allowed need no places of their own
        widest = max(1, int(degree[:, :states].max()))
        arc = torch.full((count, states + 1, widest), arcs, device=target.device)
        rows = torch.arange(count, device=target.device)[:, None].expand_as(target)
        arc[rows, target, rank] = order
        arc = arc[:, :states]
        known = arc.clamp_max(arcs - 1)
        return Incoming(known // labels, known % labels, arc)

    @cached_property
    def parallel(self) -> tuple[Tensor, Acceptor] | None:
        """The sets of labels that lead between the same two states ``(G, C)``, and the acceptor whose labels those sets are.

        `None` where that saves nothing: each sample has its own automaton, or no two labels do the same.
        """
        if len(self.next) != 1:
            return None
        state = torch.arange(self.states, device=self.next.device)
        ways = self.next[0][:, None] == state[:, None]  # (Q, Q, C): the labels from each state to each other
        sets, place = ways.flatten(0, 1).unique(dim=0, return_inverse=True)
        kept = sets.any(1)
        if int(kept.sum()) >= self.labels:
            return None
        number = torch.where(kept, kept.cumsum(0) - 1, NOTHING)[place].unflatten(0, (self.states, self.states))
        follow = torch.full((self.states, int(kept.sum())), NOTHING, device=state.device)
        source, target = (number >= 0).nonzero(as_tuple=True)
        follow[source, number[source, target]] = target
        return sets[kept], Acceptor(follow[None], self.final)


def spelling(string: Tensor, spell: Tensor) -> Acceptor:
    """Every string of labels that spells one string of symbols, for each sample.

    Args:
        string: ``(B, L)`` symbols, −1 after the end.
        spell: ``(C,)``: the symbol that each label writes, −1 for none.
    """
    return _reading(string, spell, other=False)


def misspelling(string: Tensor, spell: Tensor) -> Acceptor:
    """Every string of labels that spells any other string of symbols: the opposite of `spelling`."""
    return _reading(string, spell, other=True)


def _reading(string: Tensor, spell: Tensor, other: bool) -> Acceptor:
    """States 0 … L count the symbols read so far; with ``other`` one more state says that a symbol was wrong."""
    length = int((string >= 0).sum(1).max()) if len(string) else string.shape[1]
    string = string[:, :length]  # no state for what is padding everywhere
    place = torch.arange(length + 1, device=string.device)[None, :, None]
    wanted = torch.nn.functional.pad(string, (0, 1), value=NOTHING)[:, :, None]
    wrong = length + 1 if other else NOTHING
    silent = spell < 0
    right = (spell == wanted) & (wanted >= 0)
    follow = torch.where(silent, place, torch.where(right, place + 1, wrong))
    final = place[..., 0] == (string >= 0).sum(1, keepdim=True)
    if other:
        off = torch.full((len(string), 1, len(spell)), wrong, device=string.device)
        follow = torch.cat([follow, off], 1)
        final = torch.cat([~final, torch.ones_like(final[:, :1])], 1)
    return Acceptor(follow, final)
