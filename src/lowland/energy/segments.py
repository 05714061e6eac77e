"""Energies of a segmentation: cut the input into pieces, name each, and let a grammar say which strings of names there are.

    E(x, y, z) = Σ_{(i, j, c) ∈ z} e(i, j, c; x)       +∞ unless the grammar accepts the labels c of z and they spell y

z is a path from position 0 to the end: pieces (i, j] of at most `longest` positions, each with a label. Eliminating z gives
the energy of a string, F(x, y); eliminating y as well gives that of all strings of the grammar, and its gradient the best
path or the posterior of every piece. A hidden semi-Markov model, a segmental conditional random field, the check reader's
graph and, with pieces of one position, a space displacement network are all this, with different e.

Sources: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), sections VI–VIII; Sarawagi & Cohen, Semi-Markov Conditional
Random Fields, NIPS (2004).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Listed
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..spaces import NOTHING, Categorical, Paths, Real, Space
from .acceptor import Acceptor, Incoming
from .reading import Graph, Reading
from .reduction import Reduction
from .structure import Level, reduce_parallel, reduce_paths


@dataclass(frozen=True, eq=False)
class Segmentation(Graph):
    """Pieces composed with an acceptor: a lattice whose nodes are (position, state), never written down.

    Attributes:
        potentials: ``(B, N, D, C)``: the energy of the piece with label c that ends at position n + 1 and is d + 1 long.
        lengths: ``(B,)`` int64, at most N: where each sample ends.
        acceptor: Which strings of labels there are.
        weights: ``(Q, C)``: energy of each arc of the acceptor, if it is weighted.
        strings: Makes strings of the labels of paths, where strings are asked for.
    """

    potentials: Tensor
    lengths: Tensor
    acceptor: Acceptor
    weights: Tensor | None = None
    strings: Callable[[Tensor], Tensor] | None = None

    def replaced(self, potentials: Tensor) -> Segmentation:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        if self.weights is None and reduction.width == 1 and (parallel := self.acceptor.parallel) is not None:
            # labels that lead to the same state are reduced once for all positions: ten digits become one
            sets, acceptor = parallel
            pieces = [reduce_parallel(reduction, self.potentials[..., labels]) for labels in sets]
            return replace(self, potentials=torch.stack(pieces, -1), acceptor=acceptor).reduce(reduction)
        batch, positions, longest, labels = self.potentials.shape
        states, incoming = self.acceptor.states, self.acceptor.incoming
        pieces = self.potentials.reshape(batch, -1)
        allowed = pieces.new_zeros(states * labels) if self.weights is None else self.weights.reshape(-1)
        initial = pieces.new_full((1, states), torch.inf)
        initial[:, 0] = 0.0
        end = torch.where(self.acceptor.final, 0.0, torch.inf).to(pieces.dtype)
        reached = int(self.lengths.max()) if batch else positions  # nothing ends beyond the longest sample
        levels = _Levels(reached, longest, labels, states, incoming, self.lengths)
        return reduce_paths(reduction, initial, levels, [pieces, pad(allowed, (0, 1), value=torch.inf)[None], end])

    def along(self, path: Tensor) -> Segmentation:
        kept = _along(path, self.lengths, *self.potentials.shape[1:])
        return replace(self, potentials=self.potentials.masked_fill(~kept, torch.inf))

    def composed(
        self, acceptor: Acceptor, weights: Tensor | None, strings: Callable[[Tensor], Tensor] | None
    ) -> Segmentation:
        return replace(self, acceptor=acceptor, weights=weights, strings=strings)

    def value(self, share: Tensor) -> Tensor:
        """The label where a piece ends, −1 elsewhere, ``(B, N)``; or the string that they spell."""
        best, label = share.amax(2).max(-1)
        path = torch.where(best > 0.5, label, NOTHING)
        return path if self.strings is None else self.strings(path)


class _Levels(Listed[Level]):
    """The arcs into the states at one position after the other, made when they are asked for; then those to the end."""

    def __init__(
        self, positions: int, longest: int, labels: int, states: int, incoming: Incoming, lengths: Tensor
    ) -> None:
        self.positions, self.states, self.none = positions, states, states * labels
        back = torch.arange(1, longest + 1, device=lengths.device)[:, None]
        # (B | 1, Q, D · n): which piece and which arc of the acceptor lead here, but for the position
        self.piece = ((back - 1) * labels + incoming.label[:, :, None]).flatten(2)
        self.step = longest * labels
        self.arc = incoming.arc[:, :, None].expand(-1, -1, longest, -1).flatten(2)
        self.before = incoming.state[:, :, None].expand(-1, -1, longest, -1).flatten(2)
        self.back = back.expand(longest, incoming.state.shape[2]).flatten()
        final = torch.arange(states, device=lengths.device)
        self.end = Level((lengths[:, None] * states + final)[:, None], (None, None, final[None, None]))

    def __len__(self) -> int:
        return self.positions + 1

    def __getitem__(self, position: Any) -> Level:
        if position == self.positions:
            return self.end
        if position > self.positions:
            raise IndexError(position)
        from_ = position + 1 - self.back
        source = from_.clamp_min(0) * self.states + self.before
        arc = torch.where(from_ >= 0, self.arc, self.none)
        return Level(source, (self.piece + position * self.step, arc, None))


class Segments(Reading):
    """E(x, y, z): pieces of x with labels z that spell y. An author gives `pieces`; everything else is exact.

    Args:
        acceptor: Which strings of labels there are.
        spell: ``(C,)``: the symbol that each label writes, −1 for none.
        positions: N, the most positions.
        longest: D, the most positions of a piece.
        max_length: The most symbols of a string.
        weighted: Whether the acceptor's arcs have energies of their own, learnt, from 0.
        **observed: The variables that the energies of pieces come from.
    """

    @classmethod
    def example(cls) -> Segments:
        return PieceEnergies.example()

    def __init__(
        self,
        acceptor: Acceptor,
        spell: Tensor | Listed[int],
        *,
        positions: int,
        longest: int,
        max_length: int,
        weighted: bool = False,
        **observed: Space,
    ) -> None:
        paths = Paths(positions, acceptor.labels)
        super().__init__(acceptor, spell, paths=paths, max_length=max_length, weighted=weighted, **observed)
        self.longest = longest

    def pieces(self, **observed: Any) -> tuple[Tensor, Tensor]:
        """The energies of pieces ``(B, N, D, C)``, see `Segmentation`, and where each sample ends ``(B,)``."""
        raise NotImplementedError(f"{type(self).__name__} does not say the energies of its pieces: write `pieces`.")

    def labels(self, z: Tensor, **observed: Any) -> Tensor:
        return z

    def graph(self, **observed: Any) -> Segmentation:
        pieces, lengths = self.pieces(**observed)
        return Segmentation(pieces, lengths, self.acceptor)


class PieceEnergies(Segments):
    """`Segments` whose pieces' energies are given as they are: ``x (N, D, C)``, and where each sample ends, ``length``.

    Args:
        acceptor: Which strings of labels there are.
        spell: ``(C,)``: the symbol that each label writes, −1 for none.
        positions: N, the most positions.
        longest: D, the most positions of a piece.
        max_length: The most symbols of a string.
        weighted: Whether the acceptor's arcs have energies of their own, learnt, from 0.
    """

    @classmethod
    def example(cls) -> PieceEnergies:
        acceptor = Acceptor.of("junk* (digit junk*)+", 3, digit=(0, 1), junk=2)
        return cls(acceptor, (0, 1, -1), positions=4, longest=2, max_length=4)

    def __init__(
        self,
        acceptor: Acceptor,
        spell: Tensor | Listed[int],
        *,
        positions: int,
        longest: int,
        max_length: int,
        weighted: bool = False,
    ) -> None:
        super().__init__(
            acceptor,
            spell,
            positions=positions,
            longest=longest,
            max_length=max_length,
            weighted=weighted,
            x=Real(positions, longest, acceptor.labels),
            length=Categorical(positions + 1),
        )

    def example_observed(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        length = torch.arange(count) % self.spaces["z"].shape[0] + 1
        return {"x": self.spaces["x"].initial((count,), generator=generator), "length": length}

    def pieces(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return x, length


def _along(z: Tensor, lengths: Tensor, positions: int, longest: int, labels: int) -> Tensor:
    """Which pieces a path is made of: ``(B, N, D, C)``; none is, where it does not end with the sample."""
    place = torch.arange(1, positions + 1, device=z.device)
    ends = torch.where(z >= 0, place, 0)
    before = pad(ends.cummax(1).values[:, :-1], (1, 0))
    size = torch.where(z >= 0, place - before, 0)
    long = size[..., None] == torch.arange(1, longest + 1, device=z.device)
    named = z[..., None] == torch.arange(labels, device=z.device)
    beyond = (ends.amax(1) != lengths)[:, None, None, None]
    return (long[..., None] & named[:, :, None]) & ~beyond
