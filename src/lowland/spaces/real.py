"""Continuous spaces: all of ℝⁿ, boxes, the non-negative orthant and the unit sphere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError
from .space import Space


class Real(Space):
    """Every array of real numbers of this shape: ``Real(64)``, ``Real(1, 28, 28)``, ``Real()`` for a scalar."""


class Box(Space):
    """Arrays whose entries lie between ``low`` and ``high``, both included.

    Args:
        low: Smallest allowed entry (may be ``-inf``).
        high: Largest allowed entry (may be ``inf``).
        *shape: The event shape.
    """

    def __init__(self, low: float, high: float, *shape: int) -> None:
        if not low < high:
            raise SpaceError(f"Box: wanted low < high, got low={low} and high={high}.")
        super().__init__(*shape)
        self.low, self.high = float(low), float(high)

    @classmethod
    def example(cls) -> Box:
        return cls(-0.5, 1.5, 2, 3)

    def __repr__(self) -> str:
        return f"Box({', '.join(map(str, (self.low, self.high, *self.shape)))})"

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        wrong = (value < self.low) | (value > self.high)
        if wrong.any():
            self._refuse(value, wrong, f"entries from {self.low:g} to {self.high:g}", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return value.clamp(self.low, self.high)


class NonNegative(Space):
    """Arrays without negative entries."""

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        if (value < 0).any():
            self._refuse(value, value < 0, "entries ≥ 0", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return value.clamp_min(0)


class Sphere(Space):
    """Arrays of Euclidean length 1 (over the whole event). Not convex: a projection may have to choose.

    The centre has no nearest point; it goes to the first axis.
    """

    convex = False
    tolerance = 1e-4

    def __init__(self, *shape: int) -> None:
        super().__init__(*shape)
        if not self.shape or 0 in self.shape:
            raise SpaceError(f"Sphere: wanted at least one dimension of length ≥ 1, got shape {shape}.")

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        length = self.norm(value)
        wrong = (length - 1).abs() > self.tolerance
        if wrong.any():
            self._refuse(length, wrong, f"arrays of length 1 (± {self.tolerance:g})", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        length = self.norm(value)[(..., *[None] * len(self.shape))]
        pole = torch.zeros(self.shape, device=value.device, dtype=value.dtype)
        pole.view(-1)[0] = 1
        return torch.where(length > 0, value / length.clamp_min(torch.finfo(value.dtype).tiny), pole)
