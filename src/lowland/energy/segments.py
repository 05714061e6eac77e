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

from ..errors import SpaceError, StructureError
from ..spaces import NOTHING, Categorical, Paths, Real, Sequence, Space
from .acceptor import Acceptor, misspelling, spelling
from .energy import Energy
from .reduction import Min, Reduction
from .structure import Level, Structure, reduce_paths


@dataclass(frozen=True, eq=False)
class Segmentation(Structure):
    """Pieces composed with an acceptor: a lattice whose nodes are (position, state), never written down.

    Attributes:
        potentials: ``(B, N, D, C)``: the energy of the piece with label c that ends at position n + 1 and is d + 1 long.
        lengths: ``(B,)`` int64, at most N: where each sample ends.
        acceptor: Which strings of labels there are.
        weights: ``(Q, C)``: energy of each arc of the acceptor, if it is weighted.
        strings: Makes strings of paths, where strings are asked for.
    """

    potentials: Tensor
    lengths: Tensor
    acceptor: Acceptor
    weights: Tensor | None = None
    strings: Callable[[Tensor], Tensor] | None = None

    def replaced(self, potentials: Tensor) -> Segmentation:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        batch, positions, longest, labels = self.potentials.shape
        states, incoming = self.acceptor.states, self.acceptor.incoming
        pieces = self.potentials.reshape(batch, -1)
        allowed = pieces.new_zeros(states * labels + 1) if self.weights is None else self.weights.reshape(-1)
        if self.weights is not None:
            allowed = torch.cat([allowed, allowed.new_zeros(1)])
        barred = torch.arange(states * labels + 1, device=pieces.device) == states * labels
        initial = pieces.new_full((1, states), torch.inf)
        initial[:, 0] = 0.0
        end = torch.where(self.acceptor.final, 0.0, torch.inf).to(pieces.dtype)
        levels = _Levels(positions, longest, labels, states, incoming, self.lengths)
        kinds = [pieces, allowed.masked_fill(barred, torch.inf)[None], end]
        return reduce_paths(reduction, initial, levels, kinds)

    def value(self, share: Tensor) -> Tensor:
        """The label where a piece ends, −1 elsewhere, ``(B, N)``; or the string that they spell."""
        best, label = share.amax(2).max(-1)
        path = torch.where(best > 0.5, label, NOTHING)
        return path if self.strings is None else self.strings(path)


class _Levels(Listed[Level]):
    """The arcs into the states at one position after the other, made when they are asked for; then those to the end."""

    def __init__(self, positions: int, longest: int, labels: int, states: int, incoming: Any, lengths: Tensor) -> None:
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


class Segments(Energy):
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

    #: Strings that can't be spelt have energy +∞.
    hard = True

    spell: Tensor

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
        spell = torch.as_tensor(spell)
        if spell.shape != (acceptor.labels,):
            raise SpaceError(
                f"Segments: wanted a symbol for each of {acceptor.labels} labels, got {tuple(spell.shape)}."
            )
        symbols = max(1, int(spell.max()) + 1)
        if (most := _most_symbols(acceptor, spell, positions)) > max_length:
            raise SpaceError(
                f"Segments: the grammar allows strings of {most} symbols in {positions} positions, max_length is {max_length}: "
                "bound it ({1,8}) or allow more."
            )
        super().__init__(**observed, y=Sequence(symbols, max_length), z=Paths(positions, acceptor.labels))
        self.longest = longest
        self.string = Sequence(symbols, max_length)
        self.register_buffer("spell", spell, persistent=False)
        self.register_buffer("_next", acceptor.next, persistent=False)
        self.register_buffer("_final", acceptor.final, persistent=False)
        self.weights = torch.nn.Parameter(torch.zeros(acceptor.states, acceptor.labels)) if weighted else None
        self._acceptor = acceptor

    @property
    def acceptor(self) -> Acceptor:
        """Which strings of labels there are."""
        if self._acceptor.next.device != self._next.device:
            self._acceptor = Acceptor(self._next, self._final)  # type: ignore[arg-type]
        return self._acceptor

    def pieces(self, **observed: Any) -> tuple[Tensor, Tensor]:
        """The energies of pieces ``(B, N, D, C)``, see `Segmentation`, and where each sample ends ``(B,)``."""
        raise NotImplementedError(f"{type(self).__name__} does not say the energies of its pieces: write `pieces`.")

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """The paths that are left: over z for a known y, over y and z together, over y for a known z."""
        if not set(names) <= {"y", "z"}:
            return None
        if other_than is not None and names[0] != "y":
            raise StructureError(f"{type(self).__name__}: all but one is known for strings y, not for paths z.")
        observed = {name: value for name, value in rest.items() if name not in ("y", "z")}
        pieces, lengths = self.pieces(**observed)
        return self.within(names, pieces, lengths, other_than, rest)

    def within(
        self, names: tuple[str, ...], pieces: Tensor, lengths: Tensor, other_than: Tensor | None, rest: dict[str, Any]
    ) -> Segmentation:
        """The structure over ``names``, once the energies of the pieces are known."""
        acceptor, weights = self.acceptor, self.weights
        if "z" in rest:
            pieces = pieces.masked_fill(~_along(rest["z"], lengths, *pieces.shape[1:]), torch.inf)
        reading = None
        if "y" in rest:
            reading = spelling(rest["y"], self.spell)
        elif other_than is not None:
            reading = misspelling(other_than, self.spell)
        if reading is not None:
            if weights is not None:
                weights = weights[:, None].expand(-1, reading.states, -1).flatten(0, 1)
            acceptor = acceptor & reading
        return Segmentation(pieces, lengths, acceptor, weights, self.strings if "y" in names else None)

    def energies(self, **values: Any) -> Tensor:
        observed = {name: value for name, value in values.items() if name not in ("y", "z")}
        pieces, lengths = self.pieces(**observed)
        rest = {name: values[name] for name in ("y", "z")}
        return self.within((), pieces, lengths, None, rest).reduce(Min())

    def strings(self, z: Tensor) -> Tensor:
        """What paths spell: ``(B, N) → (B, max_length)``."""
        return self.string.pack(torch.where(z < 0, NOTHING, self.spell[z.clamp_min(0)]))


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

    def pieces(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return x, length


def _along(z: Tensor, lengths: Tensor, positions: int, longest: int, labels: int) -> Tensor:
    """Which pieces a path is made of: ``(B, N, D, C)``; none is, where it does not end with the sample."""
    place = torch.arange(1, positions + 1, device=z.device)
    ends = torch.where(z >= 0, place, 0)
    before = torch.nn.functional.pad(ends.cummax(1).values[:, :-1], (1, 0))
    size = torch.where(z >= 0, place - before, 0)
    long = size[..., None] == torch.arange(1, longest + 1, device=z.device)
    named = z[..., None] == torch.arange(labels, device=z.device)
    beyond = (ends.amax(1) != lengths)[:, None, None, None]
    return (long[..., None] & named[:, :, None]) & ~beyond


def _most_symbols(acceptor: Acceptor, spell: Tensor, positions: int) -> int:
    """The most symbols that an accepted string of at most so many labels spells."""
    written = (spell >= 0).to(torch.float64).expand(acceptor.states, -1)
    target = acceptor.next[0].clamp_min(0)
    most = torch.full((acceptor.states,), -torch.inf, dtype=torch.float64)
    most[0], best = 0.0, torch.tensor(0.0, dtype=torch.float64)
    for _ in range(positions):
        after = (most[:, None] + written).masked_fill(acceptor.next[0] < 0, -torch.inf)
        most = torch.full_like(most, -torch.inf).scatter_reduce(0, target.flatten(), after.flatten(), "amax")
        best = torch.maximum(best, most[acceptor.final[0]].max())
    return int(best)
