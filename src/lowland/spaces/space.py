"""A space says what one variable of one sample ranges over.

It knows the shape and dtype of one event, checks a value with a sentence that names the variable, and offers what
inference can use: every value if there are few, a projection onto the set, a place to start.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor

from ..errors import SpaceError, StructureError


class Space:
    """What one variable of one sample ranges over.

    Attributes:
        shape: The event shape; a value has shape ``batch_shape + shape``.
        kind: ``"float"``, ``"int"`` or ``"opaque"``: the family of dtypes a value may have.
        finite: Whether there are finitely many values, however many.
        size: How many values there are if they can all be listed, else ``None``.
    """

    kind: ClassVar[str] = "float"
    #: Whether the point between two points of the space is in it, so that there is one nearest point.
    convex: bool = True
    finite: bool = False

    def __init__(self, *shape: int) -> None:
        if any(not isinstance(length, int) or length < 0 for length in shape):
            raise SpaceError(f"{type(self).__name__}: wanted lengths that are integers ≥ 0, got {shape}.")
        self.shape = torch.Size(shape)

    @classmethod
    def example(cls) -> Space:
        """A small one, for the conformance checks."""
        return cls(3)

    @property
    def size(self) -> int | None:
        return None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of values made by this space itself (``initial``, ``enumerate``)."""
        return torch.get_default_dtype() if self.kind == "float" else torch.int64

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self).keys() == vars(other).keys() and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(str, self.shape))})"

    def batch_shape(self, value: Any, name: str = "value") -> torch.Size:
        """The leading dimensions of ``value``, after a look at its trailing ones and its dtype (no look at its numbers).

        Raises:
            SpaceError: If the trailing dimensions are not ``shape`` or the dtype is of another family.
        """
        if not isinstance(value, Tensor):
            raise SpaceError(f"{name}: wanted a tensor for {self!r}, got {type(value).__name__}.")
        split = value.ndim - len(self.shape)
        if split < 0 or value.shape[split:] != self.shape:
            raise SpaceError(
                f"{name}: wanted shape (*batch, {', '.join(map(str, self.shape))}) for {self!r}, got {tuple(value.shape)}."
            )
        if value.dtype.is_floating_point is not (self.kind == "float"):
            wanted = "a floating-point" if self.kind == "float" else "an integer"
            raise SpaceError(f"{name}: wanted {wanted} tensor for {self!r}, got {value.dtype}.")
        return value.shape[:split]

    def check(self, value: Any, name: str = "value") -> Tensor:
        """``value`` itself, if every number of it lies in the space.

        Raises:
            SpaceError: Says which variable, what was wanted, what came and where.
        """
        self.batch_shape(value, name)
        if value.is_floating_point() and not value.sum().isfinite() and not torch.isfinite(value).all():
            self._refuse(value, ~torch.isfinite(value), "finite numbers", name)
        return value

    def _refuse(self, value: Tensor, wrong: Tensor, wanted: str, name: str) -> NoReturn:
        place = tuple(int(i) for i in wrong.nonzero()[0])
        raise SpaceError(
            f"{name}: wanted {wanted} for {self!r}, got {value[place].item():g} at index {place} "
            f"({int(wrong.sum())} of {wrong.numel()} such)."
        )

    def project(self, value: Tensor) -> Tensor:
        """The nearest point of the space."""
        return value

    def inner(self, one: Tensor, other: Tensor) -> Tensor:
        """Inner product of events: ``(*B, *shape)`` twice ``→ (*B)``."""
        if len(self.shape) == 1:
            return torch.linalg.vecdot(one, other)
        product = one * other
        return product.flatten(-len(self.shape)).sum(-1) if self.shape else product

    def norm(self, value: Tensor) -> Tensor:
        """Euclidean length of each event: ``(*batch, *shape) → (*batch)``."""
        if not self.shape:
            return value.abs()
        return torch.linalg.vector_norm(value, dim=tuple(range(-len(self.shape), 0)))

    def initial(
        self,
        batch_shape: tuple[int, ...] = (),
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Somewhere to start a search: a fixed point without a generator, a random one with it."""
        full = (*batch_shape, *self.shape)
        dtype = dtype or self.dtype
        if generator is None:
            return self.project(torch.zeros(full, device=device, dtype=dtype))
        return self.project(torch.randn(full, generator=generator, device=generator.device, dtype=dtype).to(device))

    def enumerate(self, device: torch.device | str | None = None) -> Tensor:
        """Every value, ``(size, *shape)``.

        Raises:
            StructureError: If the space is not finite or has too many values to list.
        """
        raise StructureError(
            f"{self!r} can't be enumerated: it is not finite. Use minimize with a solver, or marginalize an energy that is quadratic in it."
        )
