"""Terms that keep the volume of low energy small, with their proximal steps.

    λ‖z‖₁            prox: soft threshold            (sparse)
    ½ λ‖z‖²          prox: shrink                    (small)
    λ Σ_g ‖z_g‖      prox: shrink each group's length (sparse by groups)

Source: Parikh & Boyd, Proximal Algorithms (2014), section 6.5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy, QuadraticForm


class Regularizer(Energy, ABC):
    """A non-negative energy of one variable, zero at 0, with a closed proximal step.

    Args:
        space: What the variable ranges over.
        weight: λ ≥ 0, in units of energy per unit of the norm.
        name: What the variable is called.
    """

    broadcasts = True

    anchor: Tensor

    @classmethod
    def example(cls) -> Regularizer:
        return cls(Real(3), 0.3)

    def __init__(self, space: Space, weight: float = 1.0, name: str = "z") -> None:
        if not weight >= 0:
            raise SpaceError(f"{type(self).__name__}: wanted a weight ≥ 0, got {weight}.")
        super().__init__(**{name: space})
        self.name = name
        self.weight = weight
        self.axes = tuple(range(-len(space.shape), 0))
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # follows the module's device and dtype

    def extra_repr(self) -> str:
        return f"{self.name}: {self.spaces[self.name]!r}, weight={self.weight:g}"

    @abstractmethod
    def length(self, z: Tensor) -> Tensor:
        """The norm of each event, before the weight: ``(*B, *event) → (*B)``."""

    def energies(self, **values: Tensor) -> Tensor:
        return self.weight * self.length(values[self.name])


class L1(Regularizer):
    """λ‖z‖₁: pulls every entry to exactly zero unless it earns its keep."""

    @property
    def smooth(self) -> bool:
        return False

    def length(self, z: Tensor) -> Tensor:
        return z.abs().sum(self.axes) if self.axes else z.abs()

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        if isinstance(step, Tensor):
            shift = step * self.weight
            return torch.clamp_min(value - shift, 0) + torch.clamp_max(value + shift, 0)
        return torch.nn.functional.softshrink(value, float(step * self.weight))


class L2(Regularizer):
    """½ λ‖z‖²: a bowl around zero."""

    def length(self, z: Tensor) -> Tensor:
        return 0.5 * (z.square().sum(self.axes) if self.axes else z.square())

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        return self.weight * self.length(value), self.weight * value

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        return value / (1 + step * self.weight)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        length = self.spaces[self.name].shape.numel()
        anchor = self.anchor
        return QuadraticForm(self.weight * torch.eye(length).to(anchor), anchor.expand(length), anchor)


class GroupL2(Regularizer):
    """λ Σ_g ‖z_g‖ over consecutive groups of the last dimension: whole groups switch off together.

    Args:
        space: What the variable ranges over.
        group: Entries in a group; divides the last dimension.
        weight: λ ≥ 0.
        name: What the variable is called.
    """

    @property
    def smooth(self) -> bool:
        return False

    @classmethod
    def example(cls) -> GroupL2:
        return cls(Real(2, 4), 2, 0.3)

    def __init__(self, space: Space, group: int, weight: float = 1.0, name: str = "z") -> None:
        super().__init__(space, weight, name)
        if not space.shape or group < 1 or space.shape[-1] % group:
            raise SpaceError(f"GroupL2: wanted a group that divides the last dimension of {space!r}, got {group}.")
        self.group = group

    def _groups(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (-1, self.group))

    def length(self, z: Tensor) -> Tensor:
        return self._groups(z).norm(dim=-1).sum(self.axes)

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        groups = self._groups(value)
        shift = step * self.weight
        if isinstance(shift, Tensor):
            shift = shift.unsqueeze(-1) if shift.ndim else shift
        length = groups.norm(dim=-1, keepdim=True)
        kept = (1 - shift / length.clamp_min(torch.finfo(value.dtype).tiny)).clamp_min(0)
        return (groups * kept).flatten(-2)
