"""Structure: what is left of an energy once all but some variables are known, and how to reduce it exactly.

A structure owns numbers (a table of energies, the energies of arcs) and one recursion over them; a reduction says what the
recursion computes, and the gradient of what comes out is the answer. Paths of every kind share one recursion:

    F[node] = reduce over arcs into node of ( F[source of arc] + E[arc] ),   level by level

It keeps the totals of nodes alone and computes those of arcs again on the way back, so memory is linear in nodes for the
pass and linear in arcs for the energies and their gradient; sums are kept in double precision, where the energy of 2,000
steps still has the digits that its differences need.

Sources: Goodman, Semiring Parsing (1999); Eisner, Inside-Outside and Forward-Backward Algorithms Are Just Backprop (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import StructureError
from .reduction import Reduction


class Structure:
    """What a solver that is exact sees of an energy.

    Attributes:
        potentials: The energies that answers are read off from, ``(B, …)``.
    """

    potentials: Tensor

    #: The reduction that a structure with an eliminated latent variable is bound to; `None` if any will do.
    bound: Reduction | None = None

    def reduce(self, reduction: Reduction) -> Tensor:
        """The energy reduced over the variables: ``(B)``, or ``(B, k)`` for the k best; differentiable."""
        raise NotImplementedError

    def value(self, share: Tensor) -> Tensor:
        """The value of the variable that a one-hot gradient with respect to the potentials stands for."""
        raise NotImplementedError

    def share(self, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """The reduced energy ``(B)`` or ``(B, k)``, and its gradient with respect to the potentials: best path, marginals, a draw.

        The gradient has the shape of the potentials, with k after the batch dimension for the k best.
        """
        with torch.enable_grad():
            potentials = self.potentials.detach().requires_grad_()
            reduced = self.replaced(potentials).reduce(reduction)
            if reduced.ndim == 1:
                return reduced.detach(), torch.autograd.grad(reduced.sum(), potentials)[0]
            each = [torch.autograd.grad(best.sum(), potentials, retain_graph=True)[0] for best in reduced.unbind(-1)]
        return reduced.detach(), torch.stack(each, 1)

    def replaced(self, potentials: Tensor) -> Structure:
        """The same structure with other potentials."""
        raise NotImplementedError

    def augmented(self, right: Tensor, margin: float) -> Structure:
        """The same structure with each value made lower by the margin for every place where it differs from the right one.

        Raises:
            StructureError: If mistakes don't add up over what the energy is a sum of.
        """
        raise StructureError(f"{type(self).__name__}: mistakes of an answer are no sum over its parts; use a hinge.")

    def read(self, reduction: Reduction) -> tuple[Tensor, Tensor]:
        """The values found and their energies, ``(B, *event)`` and ``(B)``, with k after the batch for the k best."""
        energies, share = self.share(reduction)
        value = self.value(share.flatten(0, 1) if energies.ndim > 1 else share)
        return (value.unflatten(0, energies.shape) if energies.ndim > 1 else value), energies


@dataclass(frozen=True, eq=False)
class Table(Structure):
    """The energies of a finite variable, one for each value.

    Attributes:
        potentials: ``(B, K)``.
        other_than: ``(B,)``: the index of a value to leave out, if any.
    """

    potentials: Tensor
    other_than: Tensor | None = None

    def replaced(self, potentials: Tensor) -> Table:
        return replace(self, potentials=potentials)

    def reduce(self, reduction: Reduction) -> Tensor:
        if self.other_than is None:
            return reduction(self.potentials)
        if self.potentials.shape[-1] < 2:
            raise StructureError("All answers but one: wanted at least two to choose from, got one.")
        return reduction(self.potentials.scatter(-1, self.other_than.unsqueeze(-1), torch.inf))

    def augmented(self, right: Tensor, margin: float) -> Table:
        mistake = torch.full_like(self.potentials, margin).scatter(-1, right.unsqueeze(-1), 0.0)
        return replace(self, potentials=self.potentials - mistake)

    def value(self, share: Tensor) -> Tensor:
        """The index of the value."""
        return share.argmax(-1)


@dataclass(frozen=True, eq=False)
class Bound(Structure):
    """A structure over several variables, one of them eliminated already: only by the same reduction are the others, too.

    A minimum of free energies, the best string where alignments are summed over, has no exact recursion.
    """

    inner: Structure
    bound: Reduction  # type: ignore[assignment]

    @property
    def potentials(self) -> Tensor:  # type: ignore[override]
        return self.inner.potentials

    def replaced(self, potentials: Tensor) -> Bound:
        return replace(self, inner=self.inner.replaced(potentials))

    def reduce(self, reduction: Reduction) -> Tensor:
        if not self.bound.nests(reduction):
            raise StructureError(
                f"{reduction} over what is left of an energy whose latent variable went by {self.bound} is not exact: "
                "use the same for both."
            )
        return self.inner.reduce(reduction)

    def augmented(self, right: Tensor, margin: float) -> Bound:
        return replace(self, inner=self.inner.augmented(right, margin))

    def value(self, share: Tensor) -> Tensor:
        return self.inner.value(share)


class Level(NamedTuple):
    """The arcs into some nodes, each row padded to the same number n of arcs; the first dimension is 1 where all samples share it.

    Attributes:
        source: ``(B | 1, W, n)``: the node that each arc comes from, counted from the first of all.
        terms: For each kind of energy, ``(B | 1, W, n)``: which of its numbers the arc adds, or `None` if it adds none.
    """

    source: Tensor
    terms: tuple[Tensor | None, ...]


def reduce_paths(reduction: Reduction, initial: Tensor, levels: Sequence[Level], kinds: Sequence[Tensor]) -> Tensor:
    """Reduce over all paths from the first nodes to the last one.

    Args:
        reduction: What the recursion computes.
        initial: ``(B | 1, W)``: the energy of starting at each of the first nodes.
        levels: The rest, in topological order; the last has one node.
        kinds: Energies that arcs add up, ``(B | 1, A)`` each; +∞ forbids.

    Returns:
        ``(B)``, or ``(B, k)`` for the k best, differentiable once in the energies; +∞ where there is no path.
    """
    if not kinds:
        raise StructureError("reduce_paths: wanted at least one kind of energy for the arcs.")
    total: Any = _Paths.apply(reduction, initial.detach(), levels, *kinds)
    return reduction.read(total).to(kinds[0].dtype)


def reduce_parallel(reduction: Reduction, energies: Tensor) -> Tensor:
    """Reduce arcs that join the same nodes to one, for a reduction whose totals are one number: ``(*B, n) → (*B)``.

    The same as ``reduction(energies)``, with no NaN in the gradient where all of them are forbidden.
    """
    return _Parallel.apply(reduction, energies)  # type: ignore[return-value]


class _Parallel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, reduction: Reduction, energies: Tensor) -> Tensor:
        totals = reduction.lift(energies)
        merged = reduction.merge(totals)
        ctx.reduction = reduction
        ctx.save_for_backward(totals, merged)
        return merged.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, ctx.reduction.pull(*ctx.saved_tensors, grads[0].unsqueeze(-1)).squeeze(-1)


class _Paths(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, reduction: Reduction, initial: Tensor, levels: Sequence[Level], *kinds: Tensor) -> Tensor:
        sizes = [len(initial), *(len(kind) for kind in kinds)]
        sizes += [len(index) for level in levels for index in (level.source, *level.terms) if index is not None]
        count = max(sizes)
        ends = torch.tensor([initial.shape[1], *(level.source.shape[1] for level in levels)]).cumsum(0).tolist()
        totals = initial.new_full((count, ends[-1], reduction.width), torch.inf, dtype=torch.float64)
        totals[:, : ends[0]] = reduction.lift(initial.to(torch.float64))
        precise = [kind.to(torch.float64) for kind in kinds]
        for first, last, level in zip(ends, ends[1:], levels, strict=False):
            totals[:, first:last] = reduction.merge(_arcs(totals, precise, level))
        ctx.reduction, ctx.levels, ctx.ends = reduction, levels, ends
        ctx.save_for_backward(totals, *kinds)
        return totals[:, -1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        totals, *kinds = ctx.saved_tensors
        precise = [kind.to(torch.float64) for kind in kinds]
        pulled = torch.zeros_like(totals)
        pulled[:, -1] = grads[0]
        slopes = [kind.new_zeros(kind.shape, dtype=torch.float64) for kind in kinds]
        spans = list(zip(ctx.ends, ctx.ends[1:], ctx.levels, strict=False))
        for first, last, level in reversed(spans):
            arcs = _arcs(totals, precise, level)
            back = ctx.reduction.pull(arcs, totals[:, first:last], pulled[:, first:last])
            _scatter(pulled, level.source, back)
            for slope, index in zip(slopes, level.terms, strict=True):
                if index is not None:
                    _scatter(slope.unsqueeze(-1), index, back.sum(-1, keepdim=True))
        return (None, None, None, *(slope.to(kind.dtype) for slope, kind in zip(slopes, kinds, strict=True)))


def _arcs(totals: Tensor, kinds: Sequence[Tensor], level: Level) -> Tensor:
    """The total of every arc: that of its source and its own energies, ``(B, W, n, width)``."""
    arcs = _gather(totals, level.source)
    for kind, index in zip(kinds, level.terms, strict=True):
        if index is not None:
            arcs = arcs + _gather(kind.unsqueeze(-1), index)
    return arcs


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """``values (B | 1, A, m)`` at ``index (B | 1, W, n)`` → ``(B, W, n, m)``."""
    if len(index) == 1:
        return values[:, index[0]]
    if len(values) == 1:
        return values[0][index]
    rows = torch.arange(len(values), device=values.device)[:, None, None]
    return values[rows, index]


def _scatter(into: Tensor, index: Tensor, values: Tensor) -> None:
    """The opposite of `_gather`: adds ``values (B, W, n, m)`` in place."""
    flat = values.flatten(1, 2)
    if len(into) == 1:
        if len(index) == 1:
            into[0].index_add_(0, index.flatten(), flat.sum(0))
        else:
            into[0].index_add_(0, index.flatten(), flat.flatten(0, 1))
    elif len(index) == 1:
        into.index_add_(1, index.flatten(), flat)
    else:
        into.scatter_add_(1, index.flatten(1).unsqueeze(-1).expand(flat.shape), flat)
