"""Paths and sequences: integers one after the other, with −1 where there is nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError
from .integers import Integers

#: What stands where there is nothing: after the end of a sequence, or between the marks of a path.
NOTHING = -1


class _Marks(Integers):
    """``length`` integers from −1 (nothing) to ``states − 1``."""

    lowest = NOTHING

    def __init__(self, length: int, states: int) -> None:
        super().__init__(states, length)

    @property
    def length(self) -> int:
        """The longest, in symbols."""
        return self.shape[0]

    @property
    def states(self) -> int:
        """How many different marks there are."""
        return self.k


class Paths(_Marks):
    """A path through a graph without cycles: what it passes, as ``length`` integers, −1 for nothing.

    What a number means is the energy's business: the state at each position of a chain, the label where a segment ends,
    the number of an arc. Paths are not listed but summed over: an energy of a path has a `Structure` with a recursion.

    Args:
        length: How many marks a path has at most.
        states: How many different marks there are.
    """

    @classmethod
    def example(cls) -> Paths:
        return cls(4, 3)

    def __repr__(self) -> str:
        return f"Paths({self.length}, {self.states})"


class Sequence(_Marks):
    """Symbols one after the other, as ``max_length`` integers: those of the sequence, then −1 to the end.

    Args:
        vocabulary: How many symbols there are.
        max_length: The longest sequence.
    """

    @classmethod
    def example(cls) -> Sequence:
        return cls(3, 4)

    def __init__(self, vocabulary: int, max_length: int) -> None:
        super().__init__(max_length, vocabulary)

    def __repr__(self) -> str:
        return f"Sequence({self.states}, {self.length})"

    @property
    def vocabulary(self) -> int:
        """How many symbols there are."""
        return self.states

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        gap = (value[..., :-1] == NOTHING) & (value[..., 1:] != NOTHING)
        if gap.any():
            self._refuse(value[..., :-1], gap, "symbols without a gap before the padding of −1", name)
        return value

    def lengths(self, value: Tensor) -> Tensor:
        """How many symbols each sequence has: ``(*B, max_length) → (*B)``."""
        return (value != NOTHING).sum(-1)

    def pack(self, value: Tensor) -> Tensor:
        """The symbols moved to the front: gaps of −1 go to the end, ``(*B, any length) → (*B, max_length)``.

        Raises:
            SpaceError: If a sequence has more than ``max_length`` symbols.
        """
        there = value != NOTHING
        longest = int(there.sum(-1).max()) if value.numel() else 0
        if longest > self.length:
            raise SpaceError(f"{self!r}: wanted at most {self.length} symbols, got {longest}.")
        order = torch.argsort(~there, dim=-1, stable=True)
        packed = value.gather(-1, order)[..., : self.length]
        return torch.nn.functional.pad(packed, (0, self.length - packed.shape[-1]), value=NOTHING)
