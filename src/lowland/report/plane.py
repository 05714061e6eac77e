"""The plane that a landscape is drawn over: the variable's own, the data's, or one through three points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .style import array


@dataclass(frozen=True)
class Plane:
    """A flat piece of a variable's space: ``origin + u · across + v · up``, the two directions at right angles.

    Attributes:
        origin: ``(D,)``.
        across: ``(D,)``, of length one.
        up: ``(D,)``, of length one.
        names: What the two coordinates are called.
        shape: The event shape that D numbers are folded into.
    """

    origin: Tensor
    across: Tensor
    up: Tensor
    names: tuple[str, str]
    shape: tuple[int, ...]

    def points(self, places: Tensor) -> Tensor:
        """``(N, 2)`` coordinates in the plane → ``(N, *shape)`` values of the variable."""
        flat = self.origin + places[:, :1] * self.across + places[:, 1:] * self.up
        return flat.reshape(-1, *self.shape)

    def places(self, values: Any) -> np.ndarray:
        """``(N, *shape)`` values → ``(N, 2)``: the coordinates of their shadows."""
        flat = torch.as_tensor(array(values), dtype=self.origin.dtype).reshape(-1, len(self.origin)) - self.origin
        return torch.stack([flat @ self.across, flat @ self.up], -1).numpy()


def event_shape(energy: Any, variable: str, data: Any, plane: Any, extent: Any) -> tuple[int, ...]:
    """The event shape: what the energy's space says, else what the data, the plane or the extent imply."""
    space = getattr(energy, "spaces", {}).get(variable)
    if space is not None:
        if space.kind != "float":
            raise UsageError(
                f"landscape: {variable!r} is {space!r}; a landscape needs real numbers, draw a table of it with bars."
            )
        return tuple(space.shape)
    for values in (data, plane):
        if values is not None:
            return array(values).shape[1:]
    return (1,) if extent is not None and len(extent) == 2 else (2,)


def choose_plane(
    energy: Any, variable: str, shape: tuple[int, ...], plane: Any, data: Any, names: tuple[str, str] | None
) -> Plane:
    dtype, size = dtype_and_device(energy)[0], int(np.prod(shape))
    if plane is not None:
        corners = torch.as_tensor(array(plane), dtype=dtype).reshape(-1, size)
        if len(corners) != 3:
            raise UsageError(f"landscape: wanted a plane through three values (3, *{shape}), got {len(corners)}.")
        first = corners[1] - corners[0]
        second = corners[2] - corners[0]
        across = first / first.norm()
        second = second - (second @ across) * across
        if not second.norm() > 1e-6 * first.norm():
            raise UsageError("landscape: the three values of `plane` lie on one line; choose another third.")
        return Plane(
            corners[0], across, second / second.norm(), names or ("from first to second", "towards third"), shape
        )
    if size == 2:
        across, up = torch.eye(2, dtype=dtype)
        own = (f"{variable}₁", f"{variable}₂")
        return Plane(torch.zeros(2, dtype=dtype), across, up, names or own, shape)
    if data is None:
        raise UsageError(
            f"landscape: {variable!r} has {size} numbers; wanted `data` or three points `plane=` to choose a plane by."
        )
    values = torch.as_tensor(array(data), dtype=dtype).reshape(-1, size)
    centre = values.mean(0)
    directions, share = _principal(values - centre)
    # A principal direction's sign is arbitrary: its largest part points up, on every machine.
    two = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    own = tuple(
        f"{which} principal direction ({part:.0%} of variance)"
        for which, part in zip(("1st", "2nd"), share.tolist(), strict=True)
    )
    return Plane(centre, two[0], two[1], names or (own[0], own[1]), shape)


def _principal(centred: Tensor) -> tuple[Tensor, Tensor]:
    """The first two principal directions ``(2, D)`` and their shares of the variance ``(2,)``.

    From the smaller of the two Gram matrices, so that neither many samples nor long ones are slow.
    """
    exact = centred.double()
    tall = len(exact) >= exact.shape[1]
    values, vectors = torch.linalg.eigh(exact.T @ exact if tall else exact @ exact.T)
    first = vectors[:, -2:].flip(1)
    directions = (first if tall else exact.T @ first).T
    directions = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-300)
    return directions.to(centred.dtype), values[-2:].flip(0) / values.sum().clamp_min(1e-300)


def choose_extent(
    chosen: Plane, data: Any, plane: Any, trajectories: Mapping[str, Any] | None, extent: Any
) -> tuple[float, ...]:
    if extent is not None:
        if len(extent) != 4 or not (extent[0] < extent[1] and extent[2] < extent[3]):
            raise UsageError(
                f"landscape: wanted extent (left, right, bottom, top), left < right and bottom < top, got {tuple(extent)}."
            )
        return tuple(float(edge) for edge in extent)
    seen = [chosen.places(values) for values in (data, plane) if values is not None]
    for paths in (trajectories or {}).values():
        seen += [chosen.places(path) for path in separate_paths(paths, chosen.shape)]
    if not seen:
        return (-3.0, 3.0, -3.0, 3.0)
    places = np.concatenate(seen)
    low, high = places.min(0), places.max(0)
    margin = 0.12 * np.maximum(high - low, 1e-3 + 0.2 * (high - low).max())
    low, high = low - margin, high + margin
    return (float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def separate_paths(trajectories: Any, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Each path as ``(T, *shape)``."""
    if trajectories is None:
        return []
    if isinstance(trajectories, list | tuple):
        return [array(path) for path in trajectories]
    values = array(trajectories)
    return [values] if values.ndim == 1 + len(shape) else [values[:, index] for index in range(values.shape[1])]


def dtype_and_device(energy: Any) -> tuple[torch.dtype, torch.device]:
    """The dtype and device of an energy's own numbers."""
    if isinstance(energy, torch.nn.Module):
        for tensor in (*energy.parameters(), *energy.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")
