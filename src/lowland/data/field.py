"""Amount fields: from a grey picture of a line of writing to its ink, upright and of one height.

The ground is what a grey closing leaves when strokes are removed; ink is how much darker than that a pixel is, in units of
the darkest strokes of the picture. Long thin horizontal strokes (the form's rules) don't count when the line is measured.
The slant is the shear that gives the sharpest profile of ink over columns.

Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), sections VII and X (field location and normalisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import DataError

HEIGHT = 40
"""Rows of a normalised field."""
LINE = 26
"""How many of them the writing takes."""
MARGIN = 3
"""Columns of paper that are kept on either side of it."""


@dataclass(frozen=True)
class Field:
    """A normalised field.

    Attributes:
        ink: ``(HEIGHT, W)`` float32, 0 is paper and 1 a dark stroke (up to 1.2).
        strokes: ``(HEIGHT, W)`` float32, 1 where a stroke is, without dust and rules.
        slant: Columns that a stroke of the picture leans to the right for every row upwards.
        scale: Pixels of the picture for one of the field.
        middle: The row of the picture that became the middle row.
        left: The column of the picture, on the middle row, that became column 0.
    """

    ink: Tensor
    strokes: Tensor
    slant: float
    scale: float
    middle: float
    left: float

    def spans(self, boxes: Float[Tensor, "L 4"]) -> Float[Tensor, "L 2"]:
        """First and last column in the field of boxes (left, top, width, height) in the picture.

        A box around a leaning digit is wider than the digit: by its height times the slant.
        """
        left, top, width, height = boxes.unbind(1)
        centre = left + width / 2 + self.slant * (top + height / 2 - self.middle)
        upright = torch.maximum(width - 0.9 * abs(self.slant) * height, (0.4 * width).clamp_min(5.0))
        ends = torch.stack([centre - upright / 2, centre + upright / 2], 1)
        return ((ends - self.left) / self.scale).float()


def normalise_field(picture: Float[Tensor, "H W"], name: str = "picture") -> Field:
    """Find the ink of a line of writing and bring it to `HEIGHT` rows.

    Args:
        picture: Grey, 0 is black and 1 is white.
        name: What to call it in an error.

    Raises:
        DataError: There is no ink in it.
    """
    ndimage = _ndimage()
    grey = picture.numpy().astype(np.float32)
    ink = _ink(grey, name)
    strokes = _without_dust(ink, name)
    rule = _rules(strokes)
    writing = strokes & ~ndimage.binary_dilation(rule, np.ones((3, 1)))
    if writing.sum() < 20:
        writing = strokes
    slant, (top, bottom) = _slant(writing), _line(writing)
    middle, scale = (top + bottom) / 2, (bottom - top) / LINE
    lean = [slant * (row - middle) for row in (0, grey.shape[0])]
    left = min(0.0, *lean)
    width = int(np.ceil((max(grey.shape[1], grey.shape[1] + max(lean)) - left) / scale))
    row, column = np.mgrid[0:HEIGHT, 0:width] + 0.5
    source_row = middle + (row - HEIGHT / 2) * scale
    source = [source_row - 0.5, column * scale + left - slant * (source_row - middle) - 0.5]
    smooth = ndimage.gaussian_filter(ink, 0.45 * (scale - 1)) if scale > 1 else ink  # no more detail than will be left
    upright = ndimage.map_coordinates(smooth, source, order=1)
    mask = (ndimage.map_coordinates(writing.astype(np.float32), source, order=1) > 0.5).astype(np.float32)
    columns = np.nonzero(mask.any(0))[0]
    if len(columns) == 0:
        raise DataError(f"{name}: wanted ink in it; what there is, is too small to read.")
    first, last = max(0, columns[0] - MARGIN), min(width, columns[-1] + MARGIN + 1)
    kept = [torch.from_numpy(part[:, first:last].astype(np.float32)) for part in (upright, mask)]
    return Field(*kept, slant=float(slant), scale=float(scale), middle=float(middle), left=float(left + first * scale))


def _ink(grey: Any, name: str) -> Any:
    """How much darker than the ground, 1 for the darkest strokes."""
    ndimage = _ndimage()
    ground = ndimage.grey_closing(ndimage.gaussian_filter(grey, 0.7), size=(15, 15))
    darker = np.clip(ndimage.gaussian_filter(ground, 6) - grey, 0, None)
    if darker.max() < 0.05:
        raise DataError(f"{name}: wanted dark ink on lighter paper; nothing in it is darker than its ground.")
    return np.clip(darker / max(float(np.percentile(darker, 98.5)), 0.05), 0, 1.2)


def _without_dust(ink: Any, name: str) -> Any:
    """Where strokes are: above Otsu's threshold, in connected pieces of some size."""
    ndimage = _ndimage()
    smooth = ndimage.gaussian_filter(ink, 0.6)
    labels, count = ndimage.label(smooth > max(_threshold(smooth), 0.25), np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes >= max(6, 0.0006 * ink.size)
    large[0] = False
    if not large.any():
        raise DataError(f"{name}: wanted dark strokes on lighter paper; there is only dust in it.")
    return large[labels]


def _threshold(values: Any) -> float:
    """Otsu's: the value that leaves the least variance in the two classes."""
    counts, edges = np.histogram(values, 64, (0, 1.2))
    share, centres = counts / counts.sum(), (edges[:-1] + edges[1:]) / 2
    below, mean = share.cumsum(), (share * centres).cumsum()
    between = (mean[-1] * below - mean) ** 2 / (below * (1 - below) + 1e-9)
    return float(centres[between.argmax()])


def _rules(strokes: Any) -> Any:
    """Thin horizontal strokes that are longer than any digit."""
    ndimage = _ndimage()
    long = ndimage.binary_opening(strokes, np.ones((1, max(25, int(0.3 * strokes.shape[1])))))
    return long & ~ndimage.binary_opening(long, np.ones((6, 1)))


def _slant(strokes: Any) -> float:
    rows, columns = np.nonzero(strokes)
    if len(rows) < 10:
        return 0.0
    rows = rows - rows.mean()
    shears = np.arange(-0.4, 0.81, 0.1)
    places = [np.round(columns + shear * rows - columns.min() + 400).astype(int) for shear in shears]
    sharpness = [(np.bincount(place).astype(float) ** 2).sum() for place in places]
    return float(shears[int(np.argmax(sharpness))])


def _line(strokes: Any) -> tuple[float, float]:
    """Top and bottom of the line: of its tall pieces."""
    ndimage = _ndimage()
    found = ndimage.find_objects(ndimage.label(strokes, np.ones((3, 3)))[0])
    tallest = max(rows.stop - rows.start for rows, _ in found)
    tall = [rows for rows, _ in found if rows.stop - rows.start >= tallest / 2]
    top = float(np.percentile([rows.start for rows in tall], 30))
    bottom = float(np.percentile([rows.stop for rows in tall], 70))
    return top, max(bottom, top + 4)


def _ndimage() -> Any:
    """SciPy's part for images, loaded when it is needed; what its functions return depends on values, so its types are left open."""
    from scipy import ndimage

    return ndimage
