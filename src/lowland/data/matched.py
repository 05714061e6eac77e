"""Strokes of another set in the format of digits, so that nothing but their shape tells the two apart.

Framing does to any drawing what was done to MNIST's digits: its longer side becomes 20 of 28 pixels, and its centre of mass the centre.
Matching then gives every drawing exactly the grey levels of one digit, the thinnest drawing those of the thinnest digit and so on: the
two sets have the same ink, image by image, and the same contrast.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, conv2d, grid_sample

from ..errors import UsageError

_FINER = 3  # samples for each pixel and direction when a drawing is brought to size
_BLUR = 0.8  # pixels: what orders the pixels of a drawing by how near to a stroke they are


def frame_strokes(ink: Float[Tensor, "N H W"], side: int = 28, inside: int = 20) -> Float[Tensor, "N S S"]:
    """Drawings whose longer side has ``inside`` of ``side`` pixels, with the centre of mass in the middle.

    Args:
        ink: 0 is paper; each drawing has ink somewhere.
        side: S, in pixels.
        inside: What the longer side becomes, in pixels.

    Raises:
        UsageError: If a drawing is blank.
    """
    count, height, width = ink.shape
    mass = ink.sum((1, 2))
    if not bool((mass > 0).all()):
        raise UsageError(f"frame_strokes: wanted ink in each drawing; number {int(mass.argmin())} is blank.")
    longer = torch.maximum(_extent((ink > 0).any(2)), _extent((ink > 0).any(1)))
    middle_row = ink.sum(2) @ (torch.arange(height).to(ink) + 0.5) / mass
    middle_column = ink.sum(1) @ (torch.arange(width).to(ink) + 0.5) / mass
    reach = longer * side / inside
    theta = ink.new_zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = reach / width, 2 * middle_column / width - 1
    theta[:, 1, 1], theta[:, 1, 2] = reach / height, 2 * middle_row / height - 1
    fine = side * _FINER
    framed = [
        grid_sample(
            some[:, None], affine_grid(way, [len(some), 1, fine, fine], align_corners=False), align_corners=False
        )
        for some, way in zip(ink.split(500), theta.split(500), strict=True)
    ]
    return avg_pool2d(torch.cat(framed), _FINER)[:, 0].clamp(0, 1)


def _extent(covered: Tensor) -> Tensor:
    """From the first true entry of each row to its last."""
    length = covered.shape[1]
    first, last = covered.byte().argmax(1), length - covered.flip(1).byte().argmax(1)
    return (last - first).to(torch.get_default_dtype())


def match_ink(x: Float[Tensor, "N H W"], like: Float[Tensor, "M H W"]) -> Float[Tensor, "N H W"]:
    """Each image with the grey levels of one of ``like``, brightest where its strokes are.

    Args:
        x: Framed drawings.
        like: Images that give their grey levels, each to the image of ``x`` that has the same rank in ink; the first N of them, or
            all in turn where they are fewer.

    Raises:
        UsageError: If there is none.
    """
    if not len(like):
        raise UsageError("match_ink: wanted images to match, got none.")
    like = like[torch.arange(len(x)) % len(like)]
    ours, theirs = x.sum((1, 2)).argsort(), like.sum((1, 2)).argsort()
    levels = torch.empty_like(x.flatten(1))
    levels[ours] = like.flatten(1)[theirs].sort(1).values
    places = _blurred(x).flatten(1).argsort(1)
    return torch.empty_like(levels).scatter_(1, places, levels).reshape(x.shape)


def _blurred(x: Tensor) -> Tensor:
    reach = 4
    away = torch.arange(-reach, reach + 1).to(x)
    bell = (-0.5 * (away / _BLUR).square()).exp()
    bell = bell / bell.sum()
    rows = conv2d(x[:, None], bell.view(1, 1, -1, 1), padding=(reach, 0))
    return conv2d(rows, bell.view(1, 1, 1, -1), padding=(0, reach))[:, 0]
