"""Images of labels: every pixel has its own preference, and neighbours would rather agree.

    E(x, y) = Σ_i u_i(y_i; x) + Σ_{i above j} V_ij(y_i, y_j) + Σ_{i left of j} H_ij(y_i, y_j)

Four neighbours close loops, so that nothing but enumeration is exact: the free energies of `lowland.energy.variational` stand
in for the true one, and the solvers `MeanField` and `BeliefPropagation` look for their stationary points.

Source: Geman & Geman, IEEE PAMI 6 (1984); for unary energies from a network, Zheng et al., ICCV (2015).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Real, Space
from ..spaces.labels import Labels
from .energy import Energy, broadcast_shapes
from .structure import Structure

#: Where a message comes from, and how far the grid moves so that it arrives: (rows, columns).
ARRIVALS = {"above": (1, 0), "below": (-1, 0), "left": (0, 1), "right": (0, -1)}


class RandomField(Energy):
    """An energy of an image of labels whose numbers are all there: what a `Grid` becomes once x is known.

    Args:
        unary: ``(*B, H, W, K)``, the energy of each label at each pixel; +∞ forbids.
        pairs: ``(*B, 2, H, W, K, K)``, or ``(*B, 2, 1, 1, K, K)`` for the same at all pixels. The first of the two is the energy
            of a pixel's label and that of the pixel below it, the second of that to its right; the last row of the first and
            the last column of the second are never looked at.

    Raises:
        SpaceError: If the shapes don't fit each other.
    """

    unary: Tensor
    pairs: Tensor
    inside: Tensor
    broadcasts = True

    def __init__(self, unary: Tensor, pairs: Tensor) -> None:
        height, width, k = unary.shape[-3:]
        if pairs.shape[-5:] not in ((2, height, width, k, k), (2, 1, 1, k, k)):
            raise SpaceError(
                f"RandomField: wanted pairs (*B, 2, {height}, {width}, {k}, {k}) or (*B, 2, 1, 1, {k}, {k}) "
                f"for unary energies {tuple(unary.shape)}, got {tuple(pairs.shape)}."
            )
        labels = Labels(k, height, width)
        super().__init__(y=labels)
        self.labels = labels
        self.register_buffer("unary", unary, persistent=False)
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("inside", _inside(height, width).to(unary.device), persistent=False)

    @classmethod
    def example(cls) -> RandomField:
        return cls(
            torch.arange(12.0).reshape(2, 3, 2).cos(), torch.tensor([[0.0, 0.7], [0.4, 0.1]]).expand(2, 1, 1, 2, 2)
        )

    def energies(self, y: Tensor) -> Tensor:
        below = _picked(self.pairs[..., 0, :, :, :, :], y[..., :-1, :], y[..., 1:, :])
        right = _picked(self.pairs[..., 1, :, :, :, :], y[..., :, :-1], y[..., :, 1:])
        own = _at(self.unary, y)
        return own.sum((-2, -1)) + below.sum((-2, -1)) + right.sum((-2, -1))

    def table(self, *names: str, **rest: Tensor) -> Tensor:
        if names != ("y",) or rest:
            return super().table(*names, **rest)
        every = self.labels.enumerate(self.device)
        ahead = [1] * len(self.batch_shape)
        return self.energies(every.reshape(len(every), *ahead, *self.labels.shape)).movedim(0, -1)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """Nothing: loops leave no recursion."""
        return None

    @property
    def outgoing(self) -> Tensor:
        """``(*B, 4, H | 1, W | 1, K of the receiver, K of the sender)``: the energies of the pairs, where the sender stands.

        In the order of `ARRIVALS`: what arrives from above was sent downwards.
        """
        below, right = self.pairs.unbind(-5)
        return torch.stack([below.mT, below.roll(1, -4), right.mT, right.roll(1, -3)], -5)

    def arrive(self, sent: Tensor) -> Tensor:
        """Messages moved from where they were sent to where they arrive, ``(*B, 4, H, W, K)``; zero from beyond the edge."""
        moved = [sent[..., i, :, :, :].roll(move, (-3, -2)) for i, move in enumerate(ARRIVALS.values())]
        return torch.where(self.inside, torch.stack(moved, -4), 0.0)

    @property
    def batch_shape(self) -> torch.Size:
        return broadcast_shapes({"unary": self.unary.shape[:-3], "pairs": self.pairs.shape[:-5]})

    @property
    def reference(self) -> Tensor | None:
        return self.unary

    def select(self, rows: Tensor) -> RandomField:
        unary = self.unary[rows] if self.unary.ndim > 3 else self.unary
        return RandomField(unary, self.pairs[rows] if self.pairs.ndim > 5 else self.pairs)


class Grid(Energy):
    """Labels of pixels, unary energies from a network and one energy of two neighbouring labels for the whole image.

    Args:
        network: Maps ``(N, *x)`` to one number for each label and pixel, ``(N, K, H, W)``.
        x: Space of the input.
        labels: Space of the image of labels.
        pairwise: Where the energies of pairs begin: a number w for w · [labels differ] (Potts), or ``(K, K)`` or ``(2, K, K)``
            for the energies of a label (row) and that below or to the right of it (column). They are a parameter.
        sign: −1 if the network's outputs are logits (high is good), +1 if they are energies already.

    Raises:
        SpaceError: If an argument does not fit.
    """

    @classmethod
    def example(cls) -> Grid:
        return cls(nn.Conv2d(1, 2, 3, padding=1), Real(1, 2, 3), Labels(2, 2, 3), 0.5)

    def __init__(
        self, network: nn.Module, x: Space, labels: Labels, pairwise: float | Tensor = 1.0, sign: int = -1
    ) -> None:
        super().__init__(x=x, y=labels)
        self.labels = labels
        k = labels.k
        start = torch.as_tensor(pairwise, dtype=torch.get_default_dtype())
        if start.shape not in ((), (k, k), (2, k, k)):
            raise SpaceError(f"Grid: wanted pairwise (), ({k}, {k}) or (2, {k}, {k}), got {tuple(start.shape)}.")
        if len(labels.shape) != 2:
            raise SpaceError(f"Grid: wanted images of labels, Labels(k, height, width), got {labels!r}.")
        if sign not in (-1, 1):
            raise SpaceError(f"Grid: wanted sign −1 (logits) or +1 (energies), got {sign}.")
        self.network = network
        self.pairwise = nn.Parameter(start.clone())
        self.sign = sign

    @property
    def pairs(self) -> Tensor:
        """The energies of a label and that below it or to its right, ``(2, 1, 1, K, K)``."""
        k = self.labels.k
        different = 1 - torch.eye(k, dtype=self.pairwise.dtype, device=self.pairwise.device)
        table = self.pairwise * different if self.pairwise.ndim == 0 else self.pairwise
        return table.expand(2, k, k)[:, None, None]

    def field(self, x: Tensor) -> RandomField:
        """The energy of y when x is known; what the network has to say is computed here."""
        batch = self.spaces["x"].batch_shape(x, "x")
        output = self.network(x.reshape(batch.numel(), *self.spaces["x"].shape))
        wanted = (batch.numel(), self.labels.k, *self.labels.shape)
        if output.shape != wanted:
            raise SpaceError(f"Grid: wanted one output for each label and pixel, {wanted}, got {tuple(output.shape)}.")
        return RandomField(self.sign * output.movedim(1, -1).reshape(*batch, *self.labels.shape, -1), self.pairs)

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return self.field(x).energies(y)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """Nothing: loops leave no recursion."""
        return None

    def given(self, **observed: Any) -> Energy:
        """With x known the network has nothing left to do."""
        if isinstance(observed.get("x"), Tensor):
            self.known(observed)
            field = self.field(observed["x"])
            return field.given(y=observed["y"]) if "y" in observed else field
        return super().given(**observed)

    def table(self, *names: str, **rest: Any) -> Tensor:
        return (
            self.field(rest["x"]).table("y")
            if names == ("y",) and rest.keys() == {"x"}
            else super().table(*names, **rest)
        )


def _inside(height: int, width: int) -> Tensor:
    """``(4, H, W, 1)``: whether there is a neighbour in the place that a message would come from."""
    row, column = torch.arange(height)[:, None], torch.arange(width)
    near = [
        (row - down >= 0) & (row - down < height) & (column - across >= 0) & (column - across < width)
        for down, across in ARRIVALS.values()
    ]
    return torch.stack(near).unsqueeze(-1)


def _at(table: Tensor, index: Tensor) -> Tensor:
    """``table (*A, K)`` at ``index (*C)``, after broadcasting A against C."""
    shape = torch.broadcast_shapes(table.shape[:-1], index.shape)
    return table.expand(*shape, table.shape[-1]).gather(-1, index.expand(shape).unsqueeze(-1)).squeeze(-1)


def _picked(pairs: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The energy of each pair of labels; ``pairs (*B, H | 1, W | 1, K, K)`` may reach beyond the last pair."""
    height, width = first.shape[-2:]
    return _at(pairs[..., :height, :width, :, :].flatten(-2), first * pairs.shape[-1] + second)
