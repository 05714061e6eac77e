"""Images that a model of some data should find strange: the same images gone wrong, and writing of other kinds."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import UsageError
from .registry import dataset


def gone_wrong(x: Float[Tensor, "N H W"], generator: torch.Generator) -> dict[str, Float[Tensor, "N H W"]]:
    """What is no longer what it was, from the nearest to the farthest.

    Args:
        x: Images in [0, 1].
        generator: Shuffles.

    Returns:
        ``upside_down`` and ``mirrored``; ``patches``: their 7×7 patches in any order; ``pixels``: their pixels in any order;
        ``noise``: as many images of uniform noise.
    """
    order = torch.rand(x.flatten(1).shape, generator=generator).argsort(1)
    return {
        "upside_down": x.flip(1),
        "mirrored": x.flip(2),
        "patches": shuffle_patches(x, 7, generator),
        "pixels": x.flatten(1).gather(1, order).reshape(x.shape),
        "noise": torch.rand(x.shape, generator=generator),
    }


def shuffle_patches(x: Float[Tensor, "N H W"], side: int, generator: torch.Generator) -> Float[Tensor, "N H W"]:
    """The square patches of each image in any order.

    Args:
        x: Images.
        side: Height and width of a patch.
        generator: Draws the orders.

    Raises:
        UsageError: If the images can't be cut into such patches.
    """
    rows, columns = (length // side for length in x.shape[1:])
    if x.shape[1:] != (rows * side, columns * side):
        raise UsageError(
            f"shuffle_patches: wanted images that patches of {side}×{side} fill, got {tuple(x.shape[1:])}."
        )
    patches = x.unflatten(1, (rows, side)).unflatten(3, (columns, side)).transpose(2, 3).flatten(1, 2)
    order = torch.rand(len(x), rows * columns, generator=generator).argsort(1)
    mixed = patches.gather(1, order[:, :, None, None].expand_as(patches))
    return mixed.unflatten(1, (rows, columns)).transpose(2, 3).flatten(3, 4).flatten(1, 2)


def other_writing(source: str, size: int, noise: float = 0.0) -> Float[Tensor, "N H W"]:
    """Writing of another kind, brought to a size.

    Args:
        source: ``usps``: test digits, which fill their frame; ``omniglot``: characters of the evaluation set, thinly drawn, the darkest
            ink of each 1; ``strokes``: 500 images of four straight strokes drawn at random, which need no files.
        size: Height and width, in pixels.
        noise: Standard deviation of noise that is added, in units of ink; it stays in [0, 1].

    Raises:
        UsageError: For another source.
        DataError: If files are missing or bad.
    """
    generator = torch.Generator().manual_seed(0)
    if source == "usps":
        x = _sized(dataset("usps").load("test")["x"], size, "bilinear")
    elif source == "omniglot":
        x = _sized(dataset("omniglot").load("evaluation")["x"], size, "area")
        x = x / x.amax((1, 2), keepdim=True).clamp_min(1e-6)
    elif source == "strokes":
        x = strokes(500, 4, size, generator)
    else:
        raise UsageError(f"other_writing: wanted usps, omniglot or strokes, got {source!r}.")
    return (x + noise * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def _sized(x: Tensor, size: int, mode: str) -> Float[Tensor, "N H W"]:
    """A thousand at a time, as drawings are large."""
    return torch.cat([interpolate(rows.float().unsqueeze(1), (size, size), mode=mode)[:, 0] for rows in x.split(1000)])


def strokes(count: int, lines: int, size: int, generator: torch.Generator) -> Float[Tensor, "N H W"]:
    """Images of straight strokes about two pixels wide, between points drawn at random and away from the border.

    Args:
        count: How many images.
        lines: Strokes in each.
        size: Height and width, in pixels.
        generator: Draws the points.
    """
    place = torch.arange(size).float()
    pixels = torch.stack(torch.meshgrid(place, place, indexing="ij"), -1)
    first, last = size / 7 + 5 / 7 * size * torch.rand(2, count, lines, 1, 1, 2, generator=generator)
    along = last - first
    share = ((pixels - first) * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True).clamp_min(1e-6)
    away = (first + share.clamp(0, 1) * along - pixels).norm(dim=-1)
    return (1.5 - away).clamp(0, 1).amax(1)
