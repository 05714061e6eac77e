"""A table of confusions, with the colours kept for what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .style import GRID, INK, array, house_style, number, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion(
    matrix: Any, labels: Sequence[str] | None = None, *, wanted: str = "true", got: str = "answered"
) -> Figure:
    """How often each class (row) was answered as each class (column); what is off the diagonal is coloured.

    Args:
        matrix: ``(K, K)`` counts: ``matrix[i, j]`` samples of class i were answered as j.
        labels: What the classes are called.
        wanted: What the rows are.
        got: What the columns are.

    Raises:
        UsageError: If ``matrix`` is not square, or ``labels`` is not as long as it.
    """
    matrix = array(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"confusion: wanted a square matrix of counts (K, K), got {matrix.shape}.")
    count = len(matrix)
    labels = [str(index) for index in range(count)] if labels is None else list(labels)
    if len(labels) != count:
        raise UsageError(f"confusion: wanted {count} labels, one a row, got {len(labels)}.")
    # Errors are rare, so they have the colours to themselves: the diagonal is in a quiet grey.
    mistaken = matrix.astype(float)
    np.fill_diagonal(mistaken, np.nan)
    share = mistaken / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, grid = panels(width=max(3.6, min(8.0, 1.4 + 0.42 * count)), height=max(3.2, min(7.6, 1.1 + 0.42 * count)))
    axes = grid[0, 0]
    with house_style():
        worst = float(np.nanmax(share)) if count > 1 else 0.0
        axes.imshow(np.eye(count), cmap=_only(GRID), vmin=0, vmax=1)
        worst = max(worst, 0.05)  # one mistake in twenty is the least that looks bad
        axes.imshow(np.where(mistaken > 0, share, np.nan), cmap="OrRd", vmin=-0.25 * worst, vmax=worst)
        if count <= 20:
            for row in range(count):
                for column in range(count):
                    if matrix[row, column]:
                        dark = row != column and share[row, column] > 0.6 * worst
                        ink = "#ffffff" if dark else "#3a1505" if row != column else INK
                        axes.text(
                            column, row, number(matrix[row, column]), ha="center", va="center", fontsize=8.5, color=ink
                        )
        axes.set_xticks(range(count), labels, rotation=90 if max(map(len, labels)) > 3 else 0)
        axes.set_yticks(range(count), labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=got, ylabel=wanted)
    return figure


def _only(colour: str) -> Any:
    """A colour map that is transparent at 0 and ``colour`` at 1."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#00000000", colour])
