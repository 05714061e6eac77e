"""Arrays of integers between two ends: what a choice, an image of labels and a path have in common."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import SpaceError
from .space import Space


class Integers(Space):
    """An array of integers, each from `lowest` to k − 1.

    Args:
        k: One more than the largest, at least 1.
        *shape: Of the array.
    """

    kind = "int"
    convex = False
    finite = True
    #: The least of them: 0, or −1 where there may be nothing.
    lowest: ClassVar[int] = 0

    def __init__(self, k: int, *shape: int) -> None:
        if k < 1:
            raise SpaceError(f"{type(self).__name__}: wanted at least 1 value to choose from, got {k}.")
        super().__init__(*shape)
        self.k = k

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, (self.k, *self.shape)))})"

    def check(self, value: Any, name: str = "value") -> Tensor:
        self.batch_shape(value, name)
        if not value.numel():
            return value
        low, high = value.aminmax()
        if int(low) < self.lowest or int(high) >= self.k:
            lowest = "−1 (nothing)" if self.lowest else "0"
            wrong = (value < self.lowest) | (value >= self.k)
            self._refuse(value, wrong, f"integers from {lowest} to {self.k - 1}", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return value.clamp(self.lowest, self.k - 1)

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
        full = (*batch_shape, *self.shape)
        return torch.randint(self.k, full, generator=generator, device=generator.device).to(device)
