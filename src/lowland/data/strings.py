"""Strings of touching characters, composed of single ones: each is distorted, then pushed left until it meets the one before.

How far a character can be pushed is told by its outline: in each row the first column of its ink, and the last column of the
ink of the character before in that row or the next ones above and below. At a gap of 0 the closest pixels are neighbours: they touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from ..errors import SpaceError
from ..spaces import NOTHING
from .transforms import random_affine

INK = 0.3
"""A pixel brighter than this is ink."""


@dataclass(frozen=True)
class StringRecipe:
    """How strings are composed. Everything is drawn uniformly between its bounds, for each character or gap anew.

    Attributes:
        shortest: Fewest characters of a string.
        longest: Most characters of a string.
        gap: Least and most columns of paper between the outlines of neighbours: 0 is touching, −1 a pixel of overlap.
        size: Bound of the change in size, as a fraction, height and width apart.
        slant: Bound of the slant, in columns per row.
        rotation: Bound of the angle, in degrees.
        jitter: Bound of the vertical movement, in pixels.
        noise: Bound of the standard deviation of grey noise, the same all over a string; ink is 1.
        margin: Most paper on the left and on the right, in pixels.
        tuck: How much of the narrower of two neighbours may lie under or over the other, as a fraction of its width.
    """

    shortest: int = 2
    longest: int = 8
    gap: tuple[int, int] = (-1, 0)
    size: float = 0.1
    slant: float = 0.1
    rotation: float = 5.0
    jitter: float = 2.0
    noise: float = 0.1
    margin: int = 12
    tuck: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise SpaceError(f"StringRecipe: wanted 1 ≤ shortest ≤ longest, got {self.shortest} and {self.longest}.")
        if self.gap[0] > self.gap[1]:
            raise SpaceError(f"StringRecipe: wanted a gap from its least to its most, got {self.gap}.")


def compose_strings(
    images: Float[Tensor, "M S S"],
    labels: Int64[Tensor, " M"],
    count: int,
    recipe: StringRecipe = StringRecipe(),
    *,
    width: int,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Draw strings.

    Args:
        images: Single characters to draw from, ink 1 on paper 0.
        labels: What they are, from 0.
        count: N, how many strings.
        recipe: How they are composed.
        width: W, columns of the result; a string is set at its left, and what follows it is paper.
        generator: Draws everything.

    Returns:
        ``x`` ``(N, S, W)``; ``y`` ``(N, longest)``, −1 after the end; ``columns`` ``(N,)``: where the margin on the right ends.

    Raises:
        SpaceError: If a string is wider than ``width``.
    """
    chosen = torch.randint(len(images), (count, recipe.longest), generator=generator)
    number = torch.randint(recipe.shortest, recipe.longest + 1, (count, 1), generator=generator)
    there = torch.arange(recipe.longest) < number
    drawn = images.new_zeros(*chosen.shape, *images.shape[1:])
    drawn[there] = random_affine(
        images[chosen[there]], recipe.rotation, recipe.size, recipe.slant, recipe.jitter, generator=generator
    )
    start, end = _places(drawn > INK, recipe, generator)
    ends = torch.where(there, end, 0).amax(1) + 1
    columns = ends + torch.randint(recipe.margin + 1, (count,), generator=generator)
    if int(ends.max()) > width:
        raise SpaceError(f"compose_strings: wanted a width of at least {int(ends.max())} columns, got {width}.")
    columns = columns.clamp_max(width)
    taken = int(columns.max())
    x = _painted(drawn, start, taken)
    noise = torch.randn(x.shape, generator=generator) * torch.rand(count, 1, 1, generator=generator) * recipe.noise
    x = (x + noise).clamp(0, 1) * (torch.arange(taken) < columns[:, None])[:, None]
    return {"x": pad(x, (0, width - taken)), "y": torch.where(there, labels[chosen], NOTHING), "columns": columns}


def _places(ink: Tensor, recipe: StringRecipe, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """The column where each character's picture begins, and where its ink ends: ``(N, L)`` both."""
    side = ink.shape[-1]
    column, nowhere = torch.arange(side), 10 * side
    left, right = torch.where(ink, column, nowhere).amin(-1), torch.where(ink, column, -nowhere).amax(-1)
    near = max_pool1d(right.float(), 3, 1, 1).long()  # a row's neighbours count: strokes touch diagonally, too
    blank = ~ink.flatten(2).any(-1)
    first, last = (edge.masked_fill(blank, side // 2) for edge in (left.amin(-1), right.amax(-1)))
    size = last - first + 1
    touching = (near[:, :-1] - left[:, 1:]).amax(-1) + 1
    gap = torch.randint(recipe.gap[0], recipe.gap[1] + 1, touching.shape, generator=generator)
    tucked = (recipe.tuck * torch.minimum(size[:, :-1], size[:, 1:])).long()
    step = torch.maximum(touching + gap, last[:, :-1] + 1 - first[:, 1:] - tucked)
    begin = torch.randint(recipe.margin + 1, first[:, :1].shape, generator=generator) - first[:, :1]
    start = torch.cat([begin, begin + step.cumsum(1)], 1)
    return start, start + last


def _painted(drawn: Tensor, start: Tensor, width: int) -> Tensor:
    """Pictures ``(N, L, S, S)`` on one sheet ``(N, S, W)``, the darker ink where they overlap."""
    count, _, side, _ = drawn.shape
    column = (start[..., None] + torch.arange(side)).clamp(0, width - 1)
    column = column[:, None].expand(-1, side, -1, -1).flatten(2)
    sheet = drawn.new_zeros(count, side, width)
    return sheet.scatter_reduce(2, column, drawn.transpose(1, 2).flatten(2), "amax")
