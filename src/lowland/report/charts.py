"""Charts of numbers: lines, points, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .style import INK, MUTED, PALETTE, array, class_colours, house_style, number, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: More points than this are drawn as one image inside the figure, so that a page stays small.
_MANY_POINTS = 400


def lines(
    x: Any,
    series: Mapping[str, Any],
    *,
    xlabel: str = "",
    ylabel: str = "",
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    levels: Mapping[str, float] | None = None,
    log: bool | None = None,
    logx: bool = False,
    markers: bool | None = None,
    width: float = 6.4,
    height: float = 3.8,
) -> Figure:
    """One line a series over common places.

    Args:
        x: ``(N,)``, or a mapping from name to places for series that have their own.
        series: Name to ``(N,)``.
        xlabel: What ``x`` is, with its unit.
        ylabel: What the series are, with their unit.
        bands: Name to (low, high), shaded around that series.
        levels: Name to a height: dashed lines to compare with (a paper's figure, a bound).
        log: A logarithmic height; by default only where positive values span more than a factor of 50.
        logx: Logarithmic places.
        markers: A dot at each place; by default where there are at most 15.
        width: In inches.
        height: In inches.

    Raises:
        UsageError: If a series is not as long as its places.
    """
    figure, grid = panels(width=width, height=height)
    axes = grid[0, 0]
    with house_style():
        draw_lines(axes, x, series, bands=bands, levels=levels, log=log, markers=markers)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if logx:
            axes.set_xscale("log")
            _plain(
                axes.xaxis,
                np.unique(np.concatenate([line.get_xdata() for line in axes.get_lines() if len(line.get_xdata()) > 2])),
            )
    return figure


def draw_lines(
    axes: Axes,
    x: Any,
    series: Mapping[str, Any],
    *,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    levels: Mapping[str, float] | None = None,
    log: bool | None = None,
    markers: bool | None = None,
    colours: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
) -> None:
    """What `lines` draws, on axes that are already there; ``colours`` for series that have their own, ``dashed`` for some."""
    values = {name: array(value).astype(float) for name, value in series.items()}
    for index, (name, value) in enumerate(values.items()):
        places = array(x[name] if isinstance(x, Mapping) else x)
        if places.shape != value.shape:
            raise UsageError(f"lines: wanted {name!r} as long as x {places.shape}, got {value.shape}.")
        colour = (colours or {}).get(name, PALETTE[index % len(PALETTE)])
        few = len(places) <= 15 if markers is None else markers
        style = {
            "marker": "o" if few else None,
            "markersize": 4.5,
            "linestyle": (0, (3, 1.5)) if name in dashed else "-",
        }
        axes.plot(places, value, color=colour, label=name, **style)
        if bands and name in bands:
            low, high = (array(edge).astype(float) for edge in bands[name])
            axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
    for name, level in (levels or {}).items():
        axes.axhline(level, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
        axes.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=MUTED,
        )
    if log or (log is None and _spans_decades(list(values.values()))):
        axes.set_yscale("log")
        _plain(axes.yaxis)
    axes.grid(axis="y")
    axes.margins(x=0.02)
    if len(values) > 1:
        _legend(axes, len(values))


def scatter(
    points: Any,
    labels: Any = None,
    *,
    names: Sequence[str] = (),
    xlabel: str = "",
    ylabel: str = "",
    equal: bool = False,
    width: float = 5.6,
    height: float = 4.6,
) -> Figure:
    """Points in the plane, coloured by class or by value.

    Args:
        points: ``(N, 2)``.
        labels: ``(N,)``: integers are classes and get a legend, floats are values and get a colour bar.
        names: What the classes are called; their numbers if empty.
        xlabel: What the first coordinate is.
        ylabel: What the second coordinate is.
        equal: One unit is as long in both directions.
        width: In inches.
        height: In inches.

    Raises:
        UsageError: If ``points`` is not ``(N, 2)`` or ``labels`` is not ``(N,)``.
    """
    points = array(points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UsageError(f"scatter: wanted points (N, 2), got {points.shape}.")
    figure, grid = panels(width=width, height=height)
    axes = grid[0, 0]
    with house_style():
        draw_points(axes, points, labels, names)
        axes.set(xlabel=xlabel, ylabel=ylabel, aspect="equal" if equal else "auto")
    return figure


def clouds(
    points: Mapping[str, Any],
    *,
    extent: tuple[float, float, float, float],
    columns: int = 4,
    width: float | None = None,
) -> Figure:
    """Several sets of points in the same part of the plane, side by side.

    Args:
        points: Title to points ``(N, 2)``.
        extent: ``(left, right, bottom, top)`` of each panel.
        columns: How many panels beside each other.
        width: In inches.

    Raises:
        UsageError: If there is nothing to draw, or points are not ``(N, 2)``.
    """
    each = {title: array(those) for title, those in points.items()}
    if not each or any(those.ndim != 2 or those.shape[1] != 2 for those in each.values()):
        raise UsageError(
            f"clouds: wanted points (N, 2) by title, got { {title: those.shape for title, those in each.items()} }."
        )
    columns = min(columns, len(each))
    rows = -(-len(each) // columns)
    width = width or 0.4 + 2.6 * columns
    figure, panes = panels(rows, columns, width=width, height=width / columns * 1.1 * rows, sharex=True, sharey=True)
    with house_style():
        for axes, (title, those) in zip(panes.flat, each.items(), strict=False):
            draw_points(axes, those)
            axes.set(title=title, xlim=extent[:2], ylim=extent[2:], aspect="equal")
        for axes in panes.flat[len(each) :]:
            axes.set_axis_off()
    return figure


def draw_points(
    axes: Axes, points: np.ndarray, labels: Any = None, names: Sequence[str] = (), edge: str = "none"
) -> None:
    """What `scatter` draws, on axes that are already there; on a landscape (with an ``edge``) without a legend."""
    size = float(np.clip(9000 / max(len(points), 1), 5, 34))
    options = {
        "s": size,
        "edgecolors": edge,
        "linewidths": 0.4 if edge != "none" else 0,
        "rasterized": len(points) > _MANY_POINTS,
        "zorder": 3,
    }
    if labels is None:
        axes.scatter(
            *points.T,
            color=PALETTE[4] if edge != "none" else PALETTE[0],
            label="data" if edge != "none" else None,
            **options,
        )
        return
    labels = array(labels)
    if labels.shape != (len(points),):
        raise UsageError(f"scatter: wanted labels ({len(points)},), one a point, got {labels.shape}.")
    if labels.dtype.kind == "f":
        drawn = axes.scatter(*points.T, c=labels, cmap="viridis", **options)
        axes.figure.colorbar(drawn, ax=axes, shrink=0.9).outline.set_visible(False)
        return
    classes = np.unique(labels)
    for colour, label in zip(class_colours(len(classes)), classes, strict=True):
        name = names[int(label)] if names else str(label)
        axes.scatter(*points[labels == label].T, color=colour, label=name, **options)
    if len(classes) <= 12 and edge == "none":
        scale = max(1.0, (28 / size) ** 0.5)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2, borderaxespad=0.2, markerscale=scale
        )


def bars(
    values: Mapping[str, float],
    *,
    errors: Mapping[str, float] | None = None,
    levels: Mapping[str, float] | None = None,
    label: str = "",
    unit: str = "",
    highlight: str | None = None,
    width: float = 6.4,
) -> Figure:
    """A bar for each name, its value written at its end; the first name on top.

    Args:
        values: Name to length.
        errors: Name to half the width of its range, drawn as a whisker.
        levels: Name to a place: dashed lines to compare with.
        label: What the values are.
        unit: Their unit.
        highlight: The one bar to bring out; the others become paler.
        width: In inches.
    """
    figure, grid = panels(width=width, height=0.9 + 0.36 * len(values))
    axes = grid[0, 0]
    lengths = np.array([float(value) for value in values.values()])
    places = np.arange(len(lengths))[::-1]
    with house_style():
        colours = [PALETTE[0] if highlight in (None, name) else "#9db8cc" for name in values]
        whiskers = [errors.get(name, 0.0) for name in values] if errors else None
        axes.barh(
            places, lengths, height=0.62, color=colours, xerr=whiskers, error_kw={"ecolor": MUTED, "elinewidth": 1.2}
        )
        for index, (place, length) in enumerate(zip(places, lengths, strict=True)):
            end = length + np.sign(length or 1) * (whiskers[index] if whiskers else 0)
            side = "left" if length >= 0 else "right"
            axes.annotate(
                number(length, unit), (end, place), xytext=(5 if length >= 0 else -5, 0), textcoords="offset points",
                va="center", ha=side, fontsize=9, color=INK,
            )  # fmt: skip
        for name, level in (levels or {}).items():
            axes.axvline(level, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)))
            axes.annotate(
                name,
                (level, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                va="bottom",
                fontsize=8.5,
                color=MUTED,
            )
        axes.set_yticks(places, list(values))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(bool((lengths < 0).any()))
        axes.margins(x=0.3 if (lengths < 0).any() else 0.16)
        axes.set_xlabel(" ".join(filter(None, [label, f"({unit})" if unit else ""])))
    return figure


def _spans_decades(values: Sequence[np.ndarray]) -> bool:
    finite = np.concatenate([value[np.isfinite(value)] for value in values]) if values else np.empty(0)
    return bool(len(finite)) and bool(finite.min() > 0) and bool(finite.max() > 50 * finite.min())


def _plain(axis: Any, places: np.ndarray | None = None) -> None:
    """Ticks of a logarithmic axis as plain numbers; at the places themselves, where they are few."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 1e-4 < value < 1e5 else f"{value:.0e}"))
    if places is not None and len(places) <= 10:
        axis.set_major_locator(FixedLocator(places.tolist()))
        axis.set_minor_locator(FixedLocator([]))
    axis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes, count: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=min(count, 4),
        borderaxespad=0.1,
        handlelength=1.4,
        columnspacing=1.4,
    )
