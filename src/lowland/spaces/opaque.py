"""A variable that only the energy understands: a batch of graphs, a module's parameters, a list of programs."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import SpaceError
from .space import Space


class Opaque(Space):
    """Any batch object with a length; one batch dimension, never broadcast, never searched by a generic solver.

    Args:
        description: What the value is, for error messages ("a batch of graphs").
    """

    kind = "opaque"
    convex = False

    def __init__(self, description: str = "any batch object") -> None:
        super().__init__()
        self.description = description

    @classmethod
    def example(cls) -> Opaque:
        return cls("a batch of graphs")

    def __repr__(self) -> str:
        return f"Opaque({self.description!r})"

    def batch_shape(self, value: Any, name: str = "value") -> torch.Size:
        if not hasattr(value, "__len__"):
            raise SpaceError(
                f"{name}: wanted {self.description} with a length (its batch), got {type(value).__name__}."
            )
        return torch.Size((len(value),))

    def check(self, value: Any, name: str = "value") -> Any:
        self.batch_shape(value, name)
        return value
