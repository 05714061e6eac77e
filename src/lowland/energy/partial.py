"""A value that is known only in places: half an image, a signal with a gap.

Fixing what is known need not stop at whole variables. `Partial(value, known)` given for a variable leaves it unknown,
but pins the entries under the mask, so that every solver fills in the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy, broadcast_shapes
from .network import Network


class Partial(NamedTuple):
    """``value`` where ``known`` is true, anything elsewhere.

    Attributes:
        value: ``(*B, *event)``; what stands at unknown entries is never read.
        known: Boolean, broadcastable to the shape of ``value``; one mask for all samples or one each.
    """

    value: Tensor
    known: Tensor


class PinnedSpace(Space):
    """The points of ``space`` that agree with a `Partial` value; a search may move the other entries only."""

    def __init__(self, space: Space, partial: Partial) -> None:
        super().__init__(*space.shape)
        self.free = space
        self.partial = partial
        self.convex, self.finite = space.convex, space.finite

    @classmethod
    def example(cls) -> PinnedSpace:
        return cls(Real(3), Partial(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([True, False, True])))

    def __repr__(self) -> str:
        return f"PinnedSpace({self.free!r}, {int(self.partial.known.sum())} entries known)"

    def check(self, value: Any, name: str = "value") -> Tensor:
        return self.free.check(value, name)

    def project(self, value: Tensor) -> Tensor:
        return torch.where(self.partial.known, self.partial.value.to(value.dtype), self.free.project(value))


class Completed(Energy):
    """An energy in which some entries of one variable are pinned.

    Args:
        energy: The energy.
        name: The variable that is known in places.
        partial: Its value there.

    Raises:
        SpaceError: If the value or the mask does not fit the variable.
    """

    @classmethod
    def example(cls) -> Completed:
        return cls(Network.example(), "x", Partial(torch.tensor([0.5, 0.0]), torch.tensor([True, False])))

    def __init__(self, energy: Energy, name: str, partial: Partial) -> None:
        space = energy.spaces[name]
        space.batch_shape(partial.value, name)
        if partial.known.dtype != torch.bool:
            raise SpaceError(f"{name}: wanted a boolean mask of what is known, got {partial.known.dtype}.")
        try:
            known = partial.known.expand(partial.value.shape)
        except RuntimeError:
            raise SpaceError(
                f"{name}: wanted a mask that broadcasts to {tuple(partial.value.shape)}, got {tuple(partial.known.shape)}."
            ) from None
        clean = torch.where(known, partial.value, torch.zeros_like(partial.value))
        super().__init__(**{**energy.spaces, name: PinnedSpace(space, Partial(space.check(clean, name), known))})
        self.energy = energy
        self.name = name
        self.partial = Partial(clean, known)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Completed:
        super()._apply(fn, recurse)
        self.partial = Partial(fn(self.partial.value), self.partial.known)
        free = self.energy.spaces[self.name]
        self.spaces[self.name] = PinnedSpace(free, self.partial)
        return self

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        self.spaces[self.name].batch_shape(values[self.name], self.name)
        filled = torch.where(self.partial.known, self.partial.value, values[self.name])
        return self.energy(**{**values, self.name: filled})

    def table(self, *names: str, **rest: Any) -> Tensor:
        if self.name not in rest:
            return super().table(*names, **rest)
        filled = torch.where(self.partial.known, self.partial.value, rest[self.name])
        return self.energy.table(*names, **{**rest, self.name: filled})

    def given(self, **observed: Any) -> Energy:
        self.known(observed)
        if self.name in observed:
            return super().given(**observed)
        return Completed(self.energy.given(**observed), self.name, self.partial)

    @property
    def smooth(self) -> bool:
        return self.energy.smooth

    def composite(self) -> tuple[Energy, Energy | None]:
        # the parts know nothing of what is pinned: solvers that ask for them project onto the space, which does
        return self.energy.composite()

    def select(self, rows: Tensor) -> Energy:
        energy = self.energy.select(rows) if self.energy.batch_shape else self.energy
        return Completed(energy, self.name, self._rows(rows))

    def _rows(self, rows: Tensor) -> Partial:
        """What is known of some samples; of all of them, where they share it."""
        own = self.spaces[self.name].batch_shape(self.partial.value, self.name)
        return Partial(self.partial.value[rows], self.partial.known[rows]) if own else self.partial

    @property
    def reference(self) -> Tensor | None:
        return self.partial.value

    @property
    def batch_shape(self) -> torch.Size:
        own = self.spaces[self.name].batch_shape(self.partial.value, self.name)
        return broadcast_shapes({"what is given": self.energy.batch_shape, self.name: own})
