"""Finite spaces: a choice among k, and arrays of bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError, StructureError
from .space import Space

#: More values than this are not listed: 2²⁰ rows are already a table of a million energies for each sample.
MAX_ENUMERATION = 2**20


class Categorical(Space):
    """One of ``k`` alternatives, an integer from 0 to k − 1; event shape ``()``.

    Args:
        k: How many alternatives, at least 1.
    """

    kind = "int"
    convex = False

    def __init__(self, k: int) -> None:
        if k < 1:
            raise SpaceError(f"Categorical: wanted k ≥ 1 alternatives, got {k}.")
        super().__init__()
        self.k = k

    @property
    def size(self) -> int:
        return self.k

    def __repr__(self) -> str:
        return f"Categorical({self.k})"

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        wrong = (value < 0) | (value >= self.k)
        if wrong.any():
            self._refuse(value, wrong, f"integers from 0 to {self.k - 1}", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return value.clamp(0, self.k - 1)

    def initial(
        self,
        batch_shape: tuple[int, ...] = (),
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        if generator is None:
            return super().initial(batch_shape, device=device, dtype=dtype)
        return torch.randint(self.k, batch_shape, generator=generator, device=generator.device).to(device)

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        return torch.arange(self.k, device=device)


class Binary(Space):
    """Arrays of zeros and ones, held as floating-point numbers so that energies can multiply them."""

    convex = False

    @property
    def size(self) -> int:
        return 2 ** self.shape.numel()

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
        if self.size > MAX_ENUMERATION:
            raise StructureError(
                f"{self!r} has 2^{self.shape.numel()} values, more than the {MAX_ENUMERATION} that are listed: sample it (Gibbs) instead."
            )
        bits = torch.arange(self.size, device=device)[:, None] >> torch.arange(self.shape.numel(), device=device)
        return (bits & 1).to(self.dtype).reshape(self.size, *self.shape)
