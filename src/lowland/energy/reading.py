"""Energies of what is read: a path through a graph made from the input, and the string that its labels spell.

    E(x, y, z) = Σ_{arcs ∈ z} e(arc; x)       +∞ unless a grammar accepts the labels of z, and they spell y

Eliminating z gives the energy of a string, F(x, y); eliminating y as well that of all strings of the grammar. Both are the
same recursion, over the graph composed with an acceptor: of the string, or of the grammar alone.

Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), sections IV and VI.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from collections.abc import Sequence as Listed
from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError, StructureError
from ..spaces import NOTHING, Paths, Sequence, Space
from .acceptor import Acceptor, misspelling, spelling
from .energy import Energy
from .reduction import Min, Sample
from .structure import Structure


class Graph(Structure):
    """A graph whose arcs have labels and energies, composed with an acceptor."""

    @abstractmethod
    def along(self, path: Tensor) -> Graph:
        """Only one path of it, for each sample."""

    @abstractmethod
    def composed(self, acceptor: Acceptor, weights: Tensor | None, strings: Callable[[Tensor], Tensor] | None) -> Graph:
        """The paths that an acceptor allows.

        Args:
            acceptor: Of the labels of arcs.
            weights: ``(Q, C)``: energy of each arc of the acceptor, if it is weighted.
            strings: Makes strings of the labels of paths, where strings are asked for.
        """


class Reading(Energy):
    """E(x, y, z): a path z through a graph made from x, whose labels spell y. An author gives `graph`.

    Args:
        acceptor: Which strings of labels there are.
        spell: ``(C,)``: the symbol that each label writes, −1 for none.
        paths: The space of z.
        max_length: The most symbols of a string.
        weighted: Whether the acceptor's arcs have energies of their own, learnt, from 0.
        **observed: The variables that the graph is made from.

    Raises:
        SpaceError: If the labels don't fit, or the grammar allows longer strings.
    """

    #: Strings that can't be spelt have energy +∞.
    hard = True

    spell: Tensor

    def __init__(
        self,
        acceptor: Acceptor,
        spell: Tensor | Listed[int],
        *,
        paths: Paths,
        max_length: int,
        weighted: bool = False,
        **observed: Space,
    ) -> None:
        spell = torch.as_tensor(spell)
        who = type(self).__name__
        if spell.shape != (acceptor.labels,):
            raise SpaceError(f"{who}: wanted a symbol for each of {acceptor.labels} labels, got {tuple(spell.shape)}.")
        if (most := _most_symbols(acceptor, spell, paths.length)) > max_length:
            raise SpaceError(
                f"{who}: the grammar allows strings of {most} symbols in paths of {paths.length} arcs, max_length is {max_length}: "
                "bound it ({1,8}) or allow more."
            )
        self.string = Sequence(max(1, int(spell.max()) + 1), max_length)
        super().__init__(**observed, y=self.string, z=paths)
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

    @classmethod
    def example(cls) -> Reading:
        from .segments import PieceEnergies

        return PieceEnergies.example()

    def example_values(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        """Strings and paths that fit what is observed: drawn from the model."""
        values = self.example_observed(count, generator)
        drawn = self.graph(**values).composed(self.acceptor, self.weights, None).read(Sample(1.0, generator))[0]
        return {**values, "y": self.strings(self.labels(drawn, **values)), "z": drawn}

    def example_observed(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        """What is observed, at random."""
        observed = [name for name in self.spaces if name not in ("y", "z")]
        return {name: self.spaces[name].initial((count,), generator=generator) for name in observed}

    @abstractmethod
    def labels(self, z: Tensor, **observed: Any) -> Tensor:
        """The labels of paths in order, −1 for none: ``(B, length)``."""

    @abstractmethod
    def graph(self, **observed: Any) -> Graph:
        """The graph of each sample, composed with nothing yet."""

    def strings(self, labels: Tensor) -> Tensor:
        """What labels spell, those of −1 nothing: ``(B, any length) → (B, max_length)``."""
        return self.string.pack(torch.where(labels < 0, NOTHING, self.spell[labels.clamp_min(0)]))

    def spelt(self, y: Tensor) -> Acceptor:
        """The strings of labels that spell y; an author who knows a smaller automaton for them overrides it."""
        return self.acceptor & spelling(y, self.spell)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """The paths that are left: over z for a known y, over y and z together, over y for a known z."""
        if not set(names) <= {"y", "z"}:
            return None
        if other_than is not None and names[0] != "y":
            raise StructureError(f"{type(self).__name__}: all but one is known for strings y, not for paths z.")
        acceptor, weights = self.acceptor, self.weights
        if "y" in rest:
            acceptor = self.spelt(rest["y"])
        elif other_than is not None:
            acceptor = acceptor & misspelling(other_than, self.spell)
        if weights is not None:
            weights = weights.repeat_interleave(acceptor.states // len(weights), 0)
        graph = self.graph(**{name: value for name, value in rest.items() if name not in ("y", "z")})
        if "z" in rest:
            graph = graph.along(rest["z"])
        return graph.composed(acceptor, weights, self.strings if "y" in names else None)

    def energies(self, **values: Any) -> Tensor:
        return self.recursion(**values).reduce(Min())  # type: ignore[union-attr]


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
