"""Finite spaces: a choice among k, and arrays of bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import StructureError
from .integers import Integers
from .space import Space

#: More values than this are not listed: 2²⁰ rows are already a table of a million energies for each sample.
MAX_ENUMERATION = 2**20


class Categorical(Integers):
    """One of ``k`` alternatives, an integer from 0 to k − 1; event shape ``()``.

    Args:
        k: How many alternatives, at least 1.
    """

    def __init__(self, k: int) -> None:
        super().__init__(k)

    @property
    def size(self) -> int:
        return self.k

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        return torch.arange(self.k, device=device)


class Binary(Space):
    """Arrays of zeros and ones, held as floating-point numbers so that energies can multiply them."""

    convex = False
    finite = True

    @property
    def size(self) -> int | None:
        """How many arrays there are, if they can be listed."""
        count = 2 ** self.shape.numel()
        return count if count <= MAX_ENUMERATION else None

    def check(self, value: Any, name: str = "value") -> Tensor:
        self.batch_shape(value, name)
        if torch.equal(value * value, value) and bool(value.sum().isfinite()):  # quick: nothing to report
            return value
        super().check(value, name)
        wrong = (value != 0) & (value != 1)
        if wrong.any():
            self._refuse(value, wrong, "zeros and ones", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return (value > 0.5).to(value.dtype)

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        if self.size is None:
            raise StructureError(
                f"{self!r} has 2^{self.shape.numel()} values, more than the {MAX_ENUMERATION} that are listed: sample it (Gibbs) instead."
            )
        bits = torch.arange(self.size, device=device)[:, None] >> torch.arange(self.shape.numel(), device=device)
        return (bits & 1).to(self.dtype).reshape(self.size, *self.shape)
