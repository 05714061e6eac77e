"""Arrays of labels: a segmented image, one choice at every pixel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError, StructureError
from .discrete import MAX_ENUMERATION
from .space import Space


class Labels(Space):
    """One of ``k`` labels at each place of an array, integers from 0 to k − 1.

    Args:
        k: How many labels, at least 1.
        *shape: Of the array: ``Labels(10, 28, 28)`` is an image of labels.
    """

    kind = "int"
    convex = False

    def __init__(self, k: int, *shape: int) -> None:
        if k < 1:
            raise SpaceError(f"Labels: wanted k ≥ 1 labels, got {k}.")
        super().__init__(*shape)
        self.k = k

    @classmethod
    def example(cls) -> Labels:
        return cls(3, 2, 2)

    @property
    def size(self) -> int | None:
        """How many arrays there are, if they can be listed."""
        count = self.k ** self.shape.numel()
        return count if count <= MAX_ENUMERATION else None

    def __repr__(self) -> str:
        return f"Labels({', '.join(map(str, (self.k, *self.shape)))})"

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
        full = (*batch_shape, *self.shape)
        return torch.randint(self.k, full, generator=generator, device=generator.device).to(device)

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        if self.size is None:
            raise StructureError(
                f"{self!r} has {self.k}^{self.shape.numel()} values, more than the {MAX_ENUMERATION} that are listed: "
                "give a solver (BeliefPropagation, MeanField)."
            )
        places = self.k ** torch.arange(self.shape.numel(), device=device)
        digits = torch.arange(self.size, device=device)[:, None] // places % self.k
        return digits.reshape(self.size, *self.shape)
