"""Labels on the nodes of a tree: each node has its preference, and a child's label depends on its parent's.

    E(x, parents, length, y) = Σ_i u_i(y_i; x) + Σ_{i not a root} V(y_parent(i), y_i)

One recursion from the leaves to the roots, a level of depth at a time for all nodes of all trees of the batch, reduces over
every labelling; the gradient of what comes out with respect to u and V is the best labelling, the marginals of nodes and edges,
or a draw.

Sources: Pearl, Probabilistic Reasoning in Intelligent Systems (1988), chapter 4; for one recursion and many reductions,
Goodman, Semiring Parsing (1999). A part of speech on a parse, a class in a taxonomy, a wavelet coefficient are such labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..errors import SpaceError
from ..spaces import NOTHING, Categorical, Paths, Real, Space
from ..spaces.trees import Trees
from .energy import Energy
from .reduction import Reduction
from .structure import Structure


class Generation(NamedTuple):
    """The nodes of one depth in all trees of a batch, counted through it, those of one parent side by side.

    Attributes:
        node: ``(M,)``.
        parent: ``(M,)``, the place of the parent among the nodes of the generation above; of a root, which tree it is in.
        rank: ``(M,)``, how many siblings come before.
    """

    node: Tensor
    parent: Tensor
    rank: Tensor


@dataclass(frozen=True, eq=False)
class Labelling(Structure):
    """All labellings of the trees of a batch. Memory: K² numbers for each node that is not a root.

    Attributes:
        potentials: ``(B, N, K)``: the energy of each label of each node; +∞ forbids.
        pairs: ``(B | 1, N | 1, K, K)``: the energy of a parent's label (row) and that of its child (column), at the child.
        generations: Of nodes, from the roots down.
    """

    potentials: Tensor
    pairs: Tensor
    generations: tuple[Generation, ...]

    def replaced(self, potentials: Tensor) -> Labelling:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        return reduction.read(self.total(reduction)).to(self.potentials.dtype)

    def total(self, reduction: Reduction) -> Tensor:
        """The total of each tree, ``(B, width)`` in double precision."""
        batch, nodes, labels = self.potentials.shape
        precise, pairs = self.potentials.to(torch.float64), self.pairs.to(torch.float64)
        own: Any = reduction.lift(precise).flatten(0, 1)
        same = pairs.shape[:2] == (1, 1)
        each = pairs[0] if same else pairs.expand(batch, nodes, labels, labels).flatten(0, 1)
        below, said = None, own
        for depth in reversed(range(len(self.generations))):
            level = self.generations[depth]
            totals = own[level.node]
            if below is not None:
                totals = _joined(reduction, totals, said, below)
            if depth:
                totals = totals.unsqueeze(1) + (each if same else each[level.node]).unsqueeze(-1)
            below, said = level, _Merged.apply(reduction, totals)
        # an empty tree costs nothing: sums of nothing, which keep the graph
        whole = reduction.lift(precise[:, :0].sum((1, 2)) + pairs[:, :, :0].sum())
        whole = whole if below is None else _joined(reduction, whole, said, below)
        return whole.masked_fill(whole.isinf(), torch.inf)  # no gradient from where nothing is allowed

    def value(self, share: Tensor) -> Tensor:
        """The label of each node, −1 where there is none, ``(B, N)``."""
        return _labels(share)

    def augmented(self, right: Tensor, margin: float) -> Labelling:
        mistake = 1 - torch.nn.functional.one_hot(right.clamp_min(0), self.potentials.shape[-1])
        return replace(self, potentials=self.potentials - margin * mistake)

    def edges(self, reduction: Reduction) -> Tensor:
        """The gradient with respect to the energies of edges, ``(B, N, K, K)``: zero at roots and where there is no node.

        For the k best there are k after the batch dimension.
        """
        batch, nodes, labels = self.potentials.shape
        with torch.enable_grad():
            pairs = self.pairs.detach().expand(batch, nodes, labels, labels).clone().requires_grad_()
            reduced = replace(self, potentials=self.potentials.detach(), pairs=pairs).reduce(reduction)
            columns = reduced.unbind(-1) if reduced.ndim > 1 else (reduced,)
            each = [torch.autograd.grad(c.sum(), pairs, retain_graph=True, materialize_grads=True)[0] for c in columns]
        return torch.stack(each, 1) if reduced.ndim > 1 else each[0]


@dataclass(frozen=True, eq=False)
class OtherLabelling(Structure):
    """All labellings but one: those that differ first at the first node, at the second, …; N times the work and the memory.

    Attributes:
        potentials: ``(B, N, K)``.
        pairs: ``(B | 1, N | 1, K, K)``.
        generations: Of each tree, N times over.
        lengths: ``(B,)``, how many nodes there are.
        other_than: ``(B, N)``, the labelling to leave out.
    """

    potentials: Tensor
    pairs: Tensor
    generations: tuple[Generation, ...]
    lengths: Tensor
    other_than: Tensor

    def replaced(self, potentials: Tensor) -> OtherLabelling:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        batch, nodes, labels = self.potentials.shape
        node = torch.arange(nodes, device=self.lengths.device)
        same = torch.nn.functional.one_hot(self.other_than.clamp_min(0), labels).bool().unsqueeze(1)
        before, here = (node < node[:, None]).unsqueeze(-1), (node == node[:, None]).unsqueeze(-1)
        barred = (before & ~same) | (here & same)
        cases = self.potentials.unsqueeze(1).masked_fill(barred, torch.inf).flatten(0, 1)
        pairs = self.pairs if len(self.pairs) == 1 else self.pairs.repeat_interleave(nodes, 0)
        totals = Labelling(cases, pairs, self.generations).total(reduction).unflatten(0, (batch, nodes))
        absent = (node >= self.lengths[:, None]).unsqueeze(-1)
        whole: Any = _Merged.apply(reduction, totals.masked_fill(absent, torch.inf))
        return reduction.read(whole).to(self.potentials.dtype)

    def value(self, share: Tensor) -> Tensor:
        """The label of each node, −1 where there is none, ``(B, N)``."""
        return _labels(share)


class Tree(Energy):
    """Labels on the nodes of trees that may differ from sample to sample.

    Its variables are ``x``, ``parents`` (the tree), ``length`` (how many nodes it has), ``y`` (a label for each of them, then −1)
    and, if asked for, ``edges`` (an energy for each pair of labels at each edge, at the child).

    Args:
        nodes: N, the most nodes of a tree.
        states: K, how many labels there are.
        network: Maps ``(B, *x)`` to the energy of each label of each node, ``(B, N, K)``; by default x is that itself.
        x: Space of the input of the network.
        edges: Whether the energies of edges are observed too; they are added to `pairwise`.

    Attributes:
        pairwise: ``(K, K)``, a parameter: the energy of a parent's label (row) and that of its child (column), from 0.

    Raises:
        SpaceError: If there is no node, or a network and no space for its input, or the other way round.
    """

    #: A node without a label, or a label without a node, has energy +∞.
    hard = True

    @classmethod
    def example(cls) -> Tree:
        return cls(4, 3)

    def __init__(
        self, nodes: int, states: int, network: nn.Module | None = None, x: Space | None = None, edges: bool = False
    ) -> None:
        if (network is None) != (x is None):
            raise SpaceError("Tree: wanted a network and the space of its input x, or neither, got one of them.")
        if nodes < 1:
            raise SpaceError(f"Tree: wanted at least one node, got {nodes}.")
        observed: dict[str, Space] = {"x": Real(nodes, states) if x is None else x}
        if edges:
            observed["edges"] = Real(nodes, states, states)
        super().__init__(**observed, parents=Trees(nodes), length=Categorical(nodes + 1), y=Paths(nodes, states))
        self.network = nn.Identity() if network is None else network
        self.pairwise = nn.Parameter(torch.zeros(states, states))

    def tables(self, x: Tensor, edges: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The energies of nodes ``(B, N, K)`` and of edges ``(B | 1, N | 1, K, K)``."""
        unary, wanted = self.network(x), (len(x), self.spaces["y"].shape[0], len(self.pairwise))
        if unary.shape != wanted:
            raise SpaceError(f"Tree: wanted an energy for each node and label, {wanted}, got {tuple(unary.shape)}.")
        pairs = self.pairwise[None, None]
        return unary, pairs if edges is None else pairs + edges

    def given(self, **observed: Any) -> Energy:
        """With x known the network has nothing left to do: its energies are computed once."""
        x = observed.get("x")
        if not isinstance(x, Tensor) or isinstance(self.network, nn.Identity):
            return super().given(**observed)
        self.known(observed)
        space, batch = self.spaces["x"], self.spaces["x"].batch_shape(x, "x")
        unary = self.tables(x.reshape(batch.numel(), *space.shape))[0]
        plain = Tree(unary.shape[1], unary.shape[2], edges="edges" in self.spaces)
        plain.pairwise = self.pairwise
        return plain.given(**{**observed, "x": unary.reshape(*batch, *unary.shape[1:])})

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        if names != ("y",):
            return None
        parents, length = rest.pop("parents"), rest.pop("length")
        unary, pairs = self.tables(**rest)
        batch, nodes, _ = unary.shape
        parents, length = parents.expand(batch, nodes), length.expand(batch)
        if other_than is None:
            return Labelling(unary, pairs, _generations(parents, length))
        generations = _generations(parents.repeat_interleave(nodes, 0), length.repeat_interleave(nodes, 0))
        return OtherLabelling(unary, pairs, generations, length, other_than)

    def energies(self, parents: Tensor, length: Tensor, y: Tensor, **observed: Tensor) -> Tensor:
        unary, pairs = self.tables(**observed)
        batch, nodes, labels = unary.shape
        there = torch.arange(nodes, device=y.device) < length[:, None]
        label = y.clamp_min(0)
        above = label.gather(1, parents.clamp_min(0))
        own = unary.gather(-1, label.unsqueeze(-1)).squeeze(-1)
        both = pairs.expand(batch, nodes, labels, labels).flatten(-2)
        both = both.gather(-1, (above * labels + label).unsqueeze(-1)).squeeze(-1)
        total = torch.where(there, own + torch.where(parents >= 0, both, 0.0), 0.0).sum(-1)
        return total.masked_fill(((y >= 0) != there).any(-1), torch.inf)


class _Merged(torch.autograd.Function):
    """`Reduction.merge` with `Reduction.pull` for its gradient; differentiable once."""

    @staticmethod
    def forward(ctx: Any, reduction: Reduction, totals: Tensor) -> Tensor:
        merged = reduction.merge(totals)
        ctx.reduction = reduction
        ctx.save_for_backward(totals, merged)
        return merged

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        totals, merged = ctx.saved_tensors
        return None, ctx.reduction.pull(totals, merged, grads[0])


def _joined(reduction: Reduction, into: Tensor, said: Tensor, level: Generation) -> Tensor:
    """The totals of parents, their children's word included: siblings are joined two and two, then with the parent."""
    parent, rank = level.parent, level.rank
    while len(rank) and int(rank.max()) > 0:
        odd, even = (rank % 2 == 1).nonzero().squeeze(-1), (rank % 2 == 0).nonzero().squeeze(-1)
        said = said.index_copy(0, odd - 1, reduction.join(said[odd - 1], said[odd]))
        said, parent, rank = said[even], parent[even], rank[even] // 2
    return into.index_copy(0, parent, reduction.join(into[parent], said))


def _generations(parents: Tensor, lengths: Tensor) -> tuple[Generation, ...]:
    """The nodes of trees ``parents (B, N)`` generation by generation, those of the same parent side by side."""
    batch, nodes = parents.shape
    tree = torch.arange(batch, device=parents.device)[:, None]
    there = torch.arange(nodes, device=parents.device) < lengths[:, None]
    parents = torch.where(there, parents, NOTHING)
    depth = Trees(nodes).depth(parents).masked_fill(~there, nodes).flatten()
    above = torch.where(parents >= 0, parents + nodes * tree, tree).flatten()
    place = torch.zeros_like(above)
    count = torch.bincount(depth, minlength=nodes + 1)[:-1]
    found = []
    for level, node in enumerate(depth.argsort(stable=True).split([*count.tolist(), int((~there).sum())])[:-1]):
        if not len(node):
            break
        parent, order = (place[above[node]] if level else above[node]).sort(stable=True)
        node, here = node[order], torch.arange(len(node), device=node.device)
        place[node] = here
        found.append(Generation(node, parent, here - torch.searchsorted(parent, parent)))
    return tuple(found)


def _labels(share: Tensor) -> Tensor:
    return torch.where(share.sum(-1) > 0.5, share.argmax(-1), NOTHING)
