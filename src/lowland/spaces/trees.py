"""Rooted trees on numbered nodes, each written down by the parents of its nodes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .paths import NOTHING
from .space import Space


class Trees(Space):
    """The parent of each of ``nodes`` nodes, an earlier node, or −1 for a root; several roots are several trees.

    Args:
        nodes: How many nodes there are at most; what the parent of one that is not used is does not matter.
    """

    kind = "int"
    convex = False
    finite = True

    def __init__(self, nodes: int) -> None:
        super().__init__(nodes)

    @property
    def nodes(self) -> int:
        """How many nodes there are at most."""
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Trees({self.nodes})"

    def check(self, value: Any, name: str = "value") -> Tensor:
        super().check(value, name)
        wrong = (value < NOTHING) | (value >= torch.arange(self.nodes, device=value.device))
        if wrong.any():
            self._refuse(value, wrong, "for each node an earlier one as its parent, or −1 for a root", name)
        return value

    def project(self, value: Tensor) -> Tensor:
        return torch.minimum(value.clamp_min(NOTHING), torch.arange(self.nodes, device=value.device) - 1)

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
        drawn = torch.rand(full, generator=generator, device=generator.device).to(device)
        earlier = torch.arange(self.nodes, device=drawn.device)
        return torch.where(earlier == 0, NOTHING, (drawn * earlier).long())

    def depth(self, parents: Tensor) -> Tensor:
        """How far each node is from its root: ``(*B, nodes)`` → the same shape.

        Raises:
            SpaceError: If parents don't come before their children.
        """
        self.check(parents, "parents")
        depth, ancestor = torch.zeros_like(parents), parents
        while bool((ancestor >= 0).any()):
            depth = depth + (ancestor >= 0)
            ancestor = torch.where(ancestor >= 0, parents.gather(-1, ancestor.clamp_min(0)), NOTHING)
        return depth
