"""Lines of writing with the cuts that were offered and the pieces that were chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from .style import array, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class CutLine(NamedTuple):
    """A line to be drawn.

    Attributes:
        ink: ``(H, W)``: 0 is paper, 1 is ink.
        cuts: Columns, from first to last.
        pieces: ``(first cut, last cut, name)`` of each piece that was chosen.
        caption: Below it.
    """

    ink: Any
    cuts: Sequence[float]
    pieces: Sequence[tuple[int, int, str]]
    caption: str = ""


def segmentations(lines: Sequence[CutLine], *, columns: int = 3, width: float = 7.4) -> Figure:
    """Lines with their cuts in blue, the chosen pieces shaded and named.

    Args:
        lines: The lines; drawn to the same width, whatever they have.
        columns: How many beside each other.
        width: Of the figure, in inches.

    Raises:
        UsageError: If there is no line.
    """
    if not lines:
        raise UsageError("segmentations: wanted at least one line, got none.")
    rows = -(-len(lines) // columns)
    figure, axes = panels(rows, columns, width=width, height=max(1.0, 0.42 * width / columns) * rows)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, line in zip(axes.flat, lines, strict=False):
        ink = array(line.ink)
        height, end = ink.shape[0], line.cuts[-1]
        axis.imshow(1 - ink.clip(0, 1), cmap="gray", vmin=0, vmax=1, extent=(0, ink.shape[1], height, 0))
        axis.set_xlim(0, max(end, 3 * height))
        axis.vlines(list(line.cuts), 0, height, color="tab:blue", linewidth=0.4)
        for first, last, name in line.pieces:
            begin, stop = line.cuts[first], line.cuts[last]
            axis.fill_between([begin, stop], 0, height, alpha=0.2, color="tab:orange", linewidth=0)
            axis.text((begin + stop) / 2, -1, name, ha="center", va="bottom", fontsize=8)
        axis.text(0, height + 1, line.caption, va="top", fontsize=6.5)
    return figure
