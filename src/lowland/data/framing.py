"""A person's own drawing as a data set holds its own: ink bright on dark, cut out and brought to the data set's size."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ..errors import DataError

FAINT = 0.3
"""What is darker than this part of the darkest ink counts as paper."""


def frame_ink(image: Float[Tensor, "H W"], side: int) -> Float[Tensor, "S S"]:
    """The ink of a picture, 1 for ink and 0 for paper, in the middle of a square that it just fits into.

    Whether ink is dark or bright is told by the border, which is taken for paper. A picture that has the wanted size is
    taken for framed already.

    Args:
        image: In [0, 1], 1 white.
        side: Height and width of the result, in pixels; each holds the mean of what it covers.
    """
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    ink = 1 - image if border.mean() > 0.5 else image
    dark = ink > FAINT * ink.max()
    if ink.shape == (side, side) or not dark.any():
        return interpolate(ink[None, None], (side, side), mode="area")[0, 0]
    rows, columns = dark.any(1).nonzero().squeeze(1), dark.any(0).nonzero().squeeze(1)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = ink.shape
    missing_rows, missing_columns = max(width - height, 0), max(height - width, 0)
    above, left = missing_rows // 2, missing_columns // 2
    ink = pad(ink, (left, missing_columns - left, above, missing_rows - above))
    return interpolate(ink[None, None], (side, side), mode="area")[0, 0]


def frame_line(
    image: Float[Tensor, "H W"], side: int, inside: int, width: int, margin: int = 6
) -> tuple[Float[Tensor, "S w"], int]:
    """The ink of a line of writing, 1 for ink and 0 for paper, ``inside`` rows high in the middle of ``side`` rows.

    Whether ink is dark or bright is told by the border, as for `frame_ink`. A line that has ``side`` rows is taken for framed
    already.

    Args:
        image: In [0, 1], 1 white.
        side: S, rows of the result.
        inside: How many of them the ink takes.
        width: w, columns of the result; the line is set at its left.
        margin: Columns of paper before and after the ink.

    Returns:
        The line, and how many columns it takes, margins included.

    Raises:
        DataError: If there is no ink, or the line is too long.
    """
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    ink = 1 - image if border.mean() > 0.5 else image
    dark = ink > FAINT * ink.max()
    if float(ink.max()) < FAINT or bool(dark.all()):
        raise DataError(
            f"frame_line: wanted a line of writing, got an image of {image.shape[0]}×{image.shape[1]} pixels without ink."
        )
    if ink.shape[0] != side:
        rows, columns = dark.any(1).nonzero().squeeze(1), dark.any(0).nonzero().squeeze(1)
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        size = (inside, max(1, round(ink.shape[1] * inside / ink.shape[0])))
        above = (side - inside) // 2
        ink = pad(interpolate(ink[None, None], size, mode="area")[0, 0], (margin, margin, above, side - inside - above))
    if ink.shape[1] > width:
        raise DataError(
            f"frame_line: wanted a line of at most {width} columns at {side} rows, got {ink.shape[1]}: cut it in two."
        )
    return pad(ink, (0, width - ink.shape[1])), ink.shape[1]
