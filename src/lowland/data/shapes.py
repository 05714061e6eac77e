"""Boxes and discs as pictures: how much of each pixel a shape covers, many at once; and random numbers to place them by.

Places and sizes are in pixels, to the right and down from the top left corner; the first pixel's centre is at ½.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def coverage(
    centre: Float[Tensor, "*B 2"],
    half: Float[Tensor, "*B 2"],
    angle: Float[Tensor, "*B"],
    size: tuple[int, int],
    disc: Bool[Tensor, "*B"] | None = None,
) -> Float[Tensor, "*B H W"]:
    """The part of each pixel that lies inside a shape, from 0 to 1, by its distance from the shape's edge.

    Args:
        centre: Of the shape.
        half: Half its width and half its height; of a disc the first is its radius.
        angle: How far a box is turned, in radians, clockwise as it is seen.
        size: (H, W) of the picture.
        disc: Which shapes are discs; without it all are boxes.
    """
    rows, columns = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
    across = columns - centre[..., 0, None, None]
    down = rows[:, None] - centre[..., 1, None, None]
    cos, sin = angle.cos()[..., None, None], angle.sin()[..., None, None]
    p = (across * cos + down * sin).abs() - half[..., 0, None, None]
    q = (down * cos - across * sin).abs() - half[..., 1, None, None]
    outside = torch.maximum(p, q)  # exact inside and beside an edge; a corner is sharp
    if disc is not None:
        outside = torch.where(disc[..., None, None], across.hypot(down) - half[..., 0, None, None], outside)
    return (0.5 - outside).clamp(0, 1)


def painted(
    canvas: Float[Tensor, "*#B 3 H W"], cover: Float[Tensor, "*#B H W"], colour: Float[Tensor, "*#B 3"]
) -> Float[Tensor, "*B 3 H W"]:
    """A picture with one more shape before all that was there; batches are broadcast."""
    return canvas + cover.unsqueeze(-3) * (colour[..., None, None] - canvas)


def uniform(low: float, high: float, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Numbers of this shape, evenly drawn from ``low`` to ``high``."""
    return low + (high - low) * torch.rand(*shape, generator=generator)
