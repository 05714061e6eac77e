"""Lattices: batches of graphs without cycles, each of its own shape, composed with a grammar.

Nodes are sorted into levels by the longest way from the first node, and all nodes of a level, of all samples, are reduced at
once: the recursion takes as many steps as the longest path has arcs, whatever the number of arcs. Memory is linear in
arcs × states of the acceptor.

Source: Mohri, Pereira & Riley, Weighted Finite-State Transducers in Speech Recognition, Computer Speech & Language 16 (2002).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Listed
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import SpaceError, StructureError
from ..spaces import NOTHING, Opaque, Paths, Real, Space
from .acceptor import Acceptor
from .reading import Graph, Reading
from .reduction import Reduction
from .structure import Level, reduce_paths


class Layer(NamedTuple):
    """The nodes that are equally far from the first one, and the arcs into them."""

    nodes: Tensor  # (B, W): −1 for none
    arcs: Tensor  # (B, W, n): A for none


@dataclass(frozen=True, eq=False)
class Lattice:
    """The shapes of a batch of graphs; paths go from node 0 to the last one. Paddings are −1.

    Attributes:
        source: ``(B, A)`` int64: the node that each arc comes from.
        target: ``(B, A)``: the node that it goes to.
        label: ``(B, A)``: what it is called.
        nodes: ``(B,)``: how many nodes each sample has; the last is the end.

    Raises:
        SpaceError: If the shapes don't fit or an arc has a node that does not exist.
        StructureError: If a graph has a cycle, or no path from its first node to its last; says which sample.
    """

    source: Tensor
    target: Tensor
    label: Tensor
    nodes: Tensor

    def __post_init__(self) -> None:
        shapes = {tuple(part.shape) for part in (self.source, self.target, self.label)}
        if len(shapes) != 1 or self.source.ndim != 2 or self.nodes.shape != self.source.shape[:1]:
            raise SpaceError(
                f"Lattice: wanted source, target, label (B, A) and nodes (B,), got {sorted(shapes)} and {tuple(self.nodes.shape)}."
            )
        there = self.source >= 0
        wrong = there & (
            (self.source >= self.nodes[:, None]) | (self.target >= self.nodes[:, None]) | (self.target < 0)
        )
        if bool(wrong.any()):
            sample, arc = (int(i) for i in wrong.nonzero()[0])
            raise SpaceError(
                f"Lattice: sample {sample} has {int(self.nodes[sample])} nodes, but arc {arc} goes from "
                f"{int(self.source[sample, arc])} to {int(self.target[sample, arc])}."
            )
        dead = self.reached[torch.arange(len(self.nodes)), self.nodes - 1] == 0
        if bool(dead.any()):
            raise StructureError(
                f"Lattice: sample {int(dead.nonzero()[0, 0])} has no path from its first node to its last: it is empty or a dead end."
            )

    def __len__(self) -> int:
        return len(self.nodes)

    def to(self, device: torch.device | str) -> Lattice:
        """The same on another device."""
        return Lattice(*(part.to(device) for part in (self.source, self.target, self.label, self.nodes)))

    def __getitem__(self, rows: Tensor) -> Lattice:
        """Some samples only."""
        return Lattice(self.source[rows], self.target[rows], self.label[rows], self.nodes[rows])

    @cached_property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """Both ends of arcs, counted in a batch of as many nodes each and one more for padding."""
        count = int(self.nodes.max())
        there = self.source >= 0
        return torch.where(there, self.source, count), torch.where(there, self.target, count)

    @cached_property
    def depth(self) -> Tensor:
        """``(B, N)``: the most arcs of a path that ends at each node."""
        source, target = self._ends
        count = int(self.nodes.max())
        depth = torch.zeros(len(self), count + 1, dtype=torch.int64, device=source.device)
        for _ in range(count + 1):
            further = depth.scatter_reduce(1, target, depth.gather(1, source) + 1, "amax")
            further[:, count] = 0
            if torch.equal(further, depth):
                return depth[:, :count]
            depth = further
        sample = int((depth.amax(1) >= self.nodes).nonzero()[0, 0])
        raise StructureError(f"Lattice: sample {sample} has a cycle: wanted arcs that never lead back to a node.")

    @cached_property
    def reached(self) -> Tensor:
        """``(B, N)``: 1 where a path from the first node leads."""
        source, target = self._ends
        reached = torch.zeros(len(self), int(self.nodes.max()) + 1, dtype=torch.int64, device=source.device)
        reached[:, 0] = 1
        for _ in range(int(self.depth.max())):
            reached = reached.scatter_reduce(1, target, reached.gather(1, source), "amax")
            reached[:, -1] = 0
        return reached[:, :-1]

    @property
    def longest(self) -> int:
        """The most arcs of a path."""
        return int(self.depth.max())

    @cached_property
    def place(self) -> Tensor:
        """``(B, N)``: where the recursion keeps each node: 0 the first, 1 what can't be reached, then level by level."""
        depth = self.depth
        place = torch.ones_like(depth)
        place[:, 0] = 0
        offset = 2
        for layer in self.layers:
            column = torch.arange(layer.nodes.shape[1], device=depth.device) + offset
            column = torch.where(layer.nodes >= 0, column, 1)
            place.scatter_(1, layer.nodes.clamp_min(0), torch.where(layer.nodes >= 0, column, place[:, :1]))
            offset += layer.nodes.shape[1]
        return place

    @cached_property
    def layers(self) -> list[Layer]:
        """The levels after the first node."""
        _, target = self._ends
        batch, arcs = target.shape
        count = int(self.nodes.max())
        target, order = target.sort(dim=1, stable=True)
        degree = torch.zeros(batch, count + 1, dtype=torch.int64, device=target.device)
        degree.scatter_add_(1, target, torch.ones_like(target))
        rank = torch.arange(arcs, device=target.device) - (degree.cumsum(1) - degree).gather(1, target)
        incoming = torch.full((batch, count + 1, max(1, int(degree[:, :count].max()))), arcs, device=target.device)
        rows, known = torch.arange(batch, device=target.device)[:, None].expand_as(target), target < count
        incoming[rows[known], target[known], rank[known]] = order[known]
        layers = []
        for depth in range(1, self.longest + 1):
            here = self.depth == depth
            width = int(here.sum(1).max())
            nodes = torch.argsort(~here, dim=1, stable=True)[:, :width]
            nodes = torch.where(here.gather(1, nodes), nodes, NOTHING)
            into = incoming.gather(1, nodes.clamp_min(0)[..., None].expand(-1, -1, incoming.shape[2]))
            into = torch.where((nodes < 0)[..., None], arcs, into)
            layers.append(Layer(nodes, into[..., : max(1, int((into < arcs).sum(-1).max()))]))
        return layers


@dataclass(frozen=True, eq=False)
class Arcs(Graph):
    """The energies of a lattice's arcs, composed with an acceptor.

    Attributes:
        potentials: ``(B, A)``.
        lattice: Where they lead.
        acceptor: Which strings of labels there are.
        longest: How long a path is written, padded.
        weights: ``(Q, C)``: energy of each arc of the acceptor, if it is weighted.
        strings: Makes strings of paths, where strings are asked for.
    """

    potentials: Tensor
    lattice: Lattice
    acceptor: Acceptor
    longest: int
    weights: Tensor | None = None
    strings: Callable[[Tensor], Tensor] | None = None

    def replaced(self, potentials: Tensor) -> Arcs:
        return replace(self, potentials=potentials)

    def along(self, path: Tensor) -> Arcs:
        known, there = path.clamp_min(0), path >= 0
        source, target = self.lattice.source.gather(1, known), self.lattice.target.gather(1, known)
        # where each arc must begin: at the first node, then where the one before ended; what follows the end must be padding
        begin = pad(torch.where(there, target, NOTHING), (1, 0))[:, :-1]
        last = torch.where(there, target, NOTHING).gather(1, there.sum(1, keepdim=True).sub(1).clamp_min(0))
        joined = torch.where(there, source == begin, True).all(1, keepdim=True) & (
            last == self.lattice.nodes[:, None] - 1
        )
        arcs = self.potentials.shape[1]
        kept = torch.zeros(len(path), arcs + 1, dtype=torch.bool, device=path.device)
        kept.scatter_(1, torch.where(there, path, arcs), True)
        return replace(self, potentials=self.potentials.masked_fill(~(kept[:, :-1] & joined), torch.inf))

    def composed(self, acceptor: Acceptor, weights: Tensor | None, strings: Callable[[Tensor], Tensor] | None) -> Arcs:
        return replace(self, acceptor=acceptor, weights=weights, strings=strings)

    def reduce(self, reduction: Reduction) -> Tensor:
        states, labels = self.acceptor.states, self.acceptor.labels
        initial = self.potentials.new_full((1, 2 * states), torch.inf)
        initial[:, 0] = 0.0
        allowed = self.potentials.new_zeros(states * labels) if self.weights is None else self.weights.reshape(-1)
        end = torch.where(self.acceptor.final, 0.0, torch.inf).to(self.potentials.dtype)
        kinds = [pad(self.potentials, (0, 1), value=torch.inf), pad(allowed, (0, 1), value=torch.inf)[None], end]
        return reduce_paths(reduction, initial, self._levels, kinds)

    @cached_property
    def _levels(self) -> list[Level]:
        lattice, incoming = self.lattice, self.acceptor.incoming
        states, labels = self.acceptor.states, self.acceptor.labels
        source = pad(lattice.place.gather(1, lattice.source.clamp_min(0)), (0, 1), value=1)
        label = pad(lattice.label, (0, 1), value=NOTHING)
        final = torch.arange(states, device=source.device)
        levels = []
        for _, arcs in lattice.layers:
            batch, width, degree = arcs.shape
            flat = arcs.flatten(1)
            before = source.gather(1, flat).reshape(batch, width, 1, degree, 1) * states
            named = label.gather(1, flat).reshape(batch, width, 1, degree, 1)
            # (B, W, Q, n, m): every arc into a node, with every way of the acceptor into a state
            start, read, arc = (part[:, None, :, None] for part in incoming)
            fits = (read == named) & (arc < states * labels)
            level = Level(
                (before + start).flatten(3).flatten(1, 2),
                (
                    arcs[:, :, None, :, None].expand(fits.shape).flatten(3).flatten(1, 2),
                    torch.where(fits, arc, states * labels).flatten(3).flatten(1, 2),
                    None,
                ),
            )
            levels.append(level)
        last = lattice.place.gather(1, lattice.nodes[:, None] - 1) * states + final
        return [*levels, Level(last[:, None], (None, None, final[None, None]))]

    def value(self, share: Tensor) -> Tensor:
        """The arcs of the path in order, then −1, ``(B, longest)``; or the string that they spell."""
        copies = len(share) // len(self.lattice)
        lattice = self.lattice[torch.arange(len(share), device=share.device) // copies]
        on = share > 0.5
        depth = lattice.depth.gather(1, lattice.source.clamp_min(0))
        order = torch.argsort(torch.where(on, depth, depth.max() + 1), dim=1, stable=True)
        path = torch.where(on.gather(1, order), order, NOTHING)[:, : lattice.longest]
        if self.strings is None:
            return pad(path, (0, self.longest - path.shape[1]), value=NOTHING)
        return self.strings(torch.where(path < 0, NOTHING, lattice.label.gather(1, path.clamp_min(0))))


class LatticePaths(Reading):
    """E(x, y, z) over lattices given as they are: x are the energies of arcs, z the arcs of a path, y what they spell.

    Args:
        acceptor: Which strings of labels there are.
        spell: ``(C,)``: the symbol that each label writes, −1 for none.
        arcs: A, the most arcs of a lattice.
        longest: The most arcs of a path.
        max_length: The most symbols of a string.
        weighted: Whether the acceptor's arcs have energies of their own, learnt, from 0.
    """

    @classmethod
    def example(cls) -> LatticePaths:
        return cls(
            Acceptor.of("junk* (digit junk*)+", 3, digit=(0, 1), junk=2), (0, 1, -1), arcs=6, longest=3, max_length=3
        )

    def __init__(
        self,
        acceptor: Acceptor,
        spell: Tensor | Listed[int],
        *,
        arcs: int,
        longest: int,
        max_length: int,
        weighted: bool = False,
    ) -> None:
        spaces: dict[str, Space] = {"x": Real(arcs), "lattice": Opaque("a Lattice")}
        paths = Paths(longest, arcs)
        super().__init__(acceptor, spell, paths=paths, max_length=max_length, weighted=weighted, **spaces)
        self.longest, self.arcs = longest, arcs

    def example_observed(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        """Two ways of two arcs and one of one, from node 0 to node 2."""
        ends = torch.tensor([[0, 0, 1, 1, 0], [1, 1, 2, 2, 2], [0, 2, 1, 2, 0]])
        source, target, label = (pad(row.expand(count, -1), (0, self.arcs - 5), value=NOTHING) for row in ends)
        lattice = Lattice(source, target, label, torch.full((count,), 3))
        return {"x": self.spaces["x"].initial((count,), generator=generator), "lattice": lattice}

    def labels(self, z: Tensor, x: Tensor, lattice: Lattice) -> Tensor:  # type: ignore[override]
        return torch.where(z < 0, NOTHING, lattice.label.gather(1, z.clamp_min(0)))

    def graph(self, x: Tensor, lattice: Lattice) -> Arcs:  # type: ignore[override]
        return Arcs(x, lattice, self.acceptor, self.longest)
