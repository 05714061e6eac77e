"""Sheets of small images: completions, filters, samples, mistakes. Each sheet is one image, so hundreds cost no more than one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .style import INK, MUTED, UNKNOWN, array, house_style, number, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def images(
    pictures: Any,
    titles: Sequence[str] = (),
    *,
    rows: Sequence[str] = (),
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str = "gray",
    tile: float | None = None,
) -> Figure:
    """Images on a grid.

    Args:
        pictures: ``(N, H, W)``, ``(N, 1, H, W)`` or ``(N, 3, H, W)``, wrapped into ``columns``; or a list of those, each
            a row of the sheet; or a list of ``(H, W)``. NaN is drawn in pale blue: a pixel that was not known.
        titles: Above each image; with ``columns`` or a list of rows also above each column (or each image, row after row).
        rows: What each row is called, on its left.
        columns: How many beside each other; by default about as many as make the sheet twice as wide as high.
        limits: The values that are drawn black and white; by default the least and greatest value of all.
        cmap: A matplotlib colour map, for images of one channel.
        tile: The width of one image in inches; by default what fits.

    Raises:
        UsageError: If an array is no batch of images, or titles and images don't match.
    """
    parts = [array(part) for part in pictures] if isinstance(pictures, list | tuple) else None
    by_column = columns is not None or parts is not None
    if parts and parts[0].ndim > 2:
        sheets = [_batch(row) for row in parts]
    else:
        batch = _batch(np.stack(parts) if parts else array(pictures))
        columns = columns or max(1, min(len(batch), int(np.ceil((2 * len(batch)) ** 0.5))))
        sheets = [batch[start : start + columns] for start in range(0, len(batch), columns)]
    if not sheets or not len(sheets[0]):
        raise UsageError("images: wanted at least one image, got none.")
    across = max(map(len, sheets))
    total = sum(map(len, sheets))
    if len(titles) not in (0, total) and not (by_column and len(titles) == across):
        columnwise = f" or {across} (one a column)" if by_column else ""
        raise UsageError(f"images: wanted {total} titles (one an image){columnwise}, got {len(titles)}.")
    if len(rows) not in (0, len(sheets)):
        raise UsageError(f"images: wanted {len(sheets)} names of rows, got {len(rows)}.")

    height, width = sheets[0].shape[1:3]
    every = len(titles) == total and (len(sheets) == 1 or total != across)
    gap = max(1, round(0.06 * width))
    above = round(0.24 * height) + gap if every and len(sheets) > 1 else gap
    canvas = np.full((len(sheets) * (height + above) - above, across * (width + gap) - gap, 4), 0.0)
    colour = _colouring(sheets, limits, cmap)
    for row, sheet in enumerate(sheets):
        for column, picture in enumerate(sheet):
            top, left = row * (height + above), column * (width + gap)
            canvas[top : top + height, left : left + width] = colour(picture)

    tile = tile or float(np.clip(6.2 / across, 0.44, 1.1))
    scale = tile / width
    margin = 0.09 * max(map(len, rows), default=0)
    size = {
        "width": max(canvas.shape[1] * scale + margin, 1.5),
        "height": canvas.shape[0] * scale + (0.3 if titles else 0.1),
    }
    figure, grid = panels(**size)
    axes = grid[0, 0]
    longest = max(map(len, titles), default=1) + 1
    small = float(np.clip(tile * 72 / (0.6 * longest), 5.5, 9.5))  # a letter is about 0.6 of its size wide
    with house_style():
        axes.imshow((canvas * 255).round().astype(np.uint8), interpolation="none")
        axes.set_axis_off()
        named = iter(titles)
        for row, sheet in enumerate(sheets):
            top = row * (height + above)
            if rows:
                axes.text(-1.5 * gap, top + height / 2, rows[row], ha="right", va="center", fontsize=9, color=MUTED)
            if row and not every:
                continue
            for column in range(len(sheet)):
                title = next(named, "")
                axes.text(
                    column * (width + gap) + width / 2 - 0.5, top - 0.12 * above - 0.5, title,
                    ha="center", va="bottom", fontsize=small, color=INK,
                )  # fmt: skip
    return figure


def filters(weights: Any, *, columns: int | None = None, each: bool = True, tile: float | None = None) -> Figure:
    """Weights as images: white is zero, red is positive, blue is negative, and both are as strong as they look.

    Args:
        weights: ``(N, H, W)``, ``(N, 1, H, W)``, ``(N, 3, H, W)``, or ``(N, H·W)`` for square filters.
        columns: How many beside each other.
        each: Every filter has its own scale; else all share one.
        tile: The width of one filter in inches.

    Raises:
        UsageError: If a flat filter is not square.
    """
    weights = array(weights).astype(float)
    if weights.ndim == 2:
        side = round(weights.shape[1] ** 0.5)
        if side * side != weights.shape[1]:
            raise UsageError(f"filters: wanted (N, H, W), or (N, H·W) with H = W, got {weights.shape}.")
        weights = weights.reshape(-1, side, side)
    weights = _batch(weights)
    places = (1, 2, 3) if each else None
    largest = np.abs(weights).max(axis=places, keepdims=True)
    weights = weights / np.where(largest > 0, largest, 1)
    columns = columns or min(len(weights), max(1, int(np.ceil((1.6 * len(weights)) ** 0.5))))
    coloured = weights.shape[-1] == 3
    shown = (0.5 + 0.5 * weights) if coloured else weights[..., 0]
    return images(
        np.moveaxis(shown, -1, 1) if coloured else shown,
        columns=columns,
        limits=(0, 1) if coloured else (-1, 1),
        cmap="RdBu_r",
        tile=tile,
    )


def mistakes(
    pictures: Any,
    wanted: Any,
    got: Any,
    energies: Any = None,
    *,
    labels: Sequence[str] | None = None,
    count: int = 24,
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """What was answered wrongly, the nearest misses first: how little energy lay between the answer and the truth.

    Args:
        pictures: ``(N, H, W)`` or ``(N, C, H, W)``.
        wanted: ``(N,)`` true classes.
        got: ``(N,)`` answers.
        energies: ``(N, K)`` the energy of every class, or ``(N,)`` the energy of the truth above that of the answer;
            without it the order is that of the samples.
        labels: What the classes are called.
        count: At most so many.
        columns: How many beside each other.
        limits: The values that are drawn black and white.

    Raises:
        UsageError: If the lengths differ.
    """
    wanted, got = array(wanted), array(got)
    pictures = array(pictures)
    if not len(pictures) == len(wanted) == len(got):
        raise UsageError(
            f"mistakes: wanted as many pictures, truths and answers, got {len(pictures)}, {len(wanted)}, {len(got)}."
        )
    wrong = np.flatnonzero(wanted != got)
    gaps = None
    if energies is not None:
        energies = array(energies)
        each = np.arange(len(wanted))
        gaps = energies if energies.ndim == 1 else energies[each, wanted] - energies[each, got]
        wrong = wrong[np.argsort(gaps[wrong], kind="stable")]
    wrong = wrong[:count]
    if not len(wrong):
        figure, grid = panels(width=4.0, height=0.7)
        with house_style():
            grid[0, 0].set_axis_off()
            grid[0, 0].text(0.5, 0.5, f"No mistake among {len(wanted)}.", ha="center", va="center")
        return figure
    name = (lambda index: labels[int(index)]) if labels else (lambda index: str(int(index)))
    titles = [
        f"{name(wanted[index])} → {name(got[index])}"
        + ("" if gaps is None else f" ({number(float(f'{gaps[index]:.2g}'))})")
        for index in wrong
    ]
    return images(pictures[wrong], titles, columns=columns or min(len(wrong), 6), limits=limits)


def _batch(value: np.ndarray) -> np.ndarray:
    """``(N, H, W)`` or ``(N, C, H, W)`` → ``(N, H, W, C)``."""
    if value.ndim == 3:
        return value[..., None].astype(float)
    if value.ndim == 4 and value.shape[1] in (1, 3):
        return np.moveaxis(value, 1, -1).astype(float)
    raise UsageError(f"images: wanted (N, H, W), (N, 1, H, W) or (N, 3, H, W), got {value.shape}.")


def _colouring(sheets: Sequence[np.ndarray], limits: tuple[float, float] | None, cmap: str):
    """A function from one image ``(H, W, C)`` to ``(H, W, 4)`` in [0, 1], the same for all of them."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    values = np.concatenate([sheet[np.isfinite(sheet)].ravel() for sheet in sheets])
    low, high = limits if limits is not None else (values.min(), values.max()) if len(values) else (0.0, 1.0)
    span = (high - low) or 1.0
    colours, unknown = colormaps[cmap], np.array(to_rgba(UNKNOWN))

    def colour(picture: np.ndarray) -> np.ndarray:
        shares = np.clip((picture - low) / span, 0, 1)
        missing = np.isnan(picture).any(-1)
        filled = np.nan_to_num(shares)
        opaque = np.ones_like(filled[..., :1])
        drawn = np.array(colours(filled[..., 0])) if picture.shape[-1] == 1 else np.dstack([filled, opaque])
        drawn[missing] = unknown
        return drawn

    return colour
