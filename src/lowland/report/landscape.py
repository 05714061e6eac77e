"""The landscape: an energy over a line or a plane, with the data, the low points and the path of a solver on it.

Two-dimensional variables are shown as they are. For longer ones the plane is the one the data lie nearest to (their first
two principal directions), or the one through three points you choose; data are dropped onto it at right angles, so a
point's colour is the energy of its shadow, not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .charts import draw_lines, draw_points
from .plane import Plane, choose_extent, choose_plane, dtype_and_device, event_shape, separate_paths
from .style import PALETTE, array, energy_colours, house_style, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: How many points of the plane an energy is asked about at once.
_CHUNK = 4096


def landscape(
    energy: Callable[..., Tensor],
    variable: str,
    *,
    plane: Any = None,
    data: Any = None,
    labels: Any = None,
    names: Sequence[str] = (),
    extent: tuple[float, float, float, float] | tuple[float, float] | None = None,
    resolution: int = 80,
    trajectories: Any = None,
    minima: bool | Any = True,
    ceiling: float | None = None,
    unit: str = "",
    axes_names: tuple[str, str] | None = None,
    width: float = 6.6,
    height: float = 5.0,
) -> Figure:
    """An energy over one of its variables, low in deep blue.

    Args:
        energy: ``energy(**{variable: (N, *event)}) → (N,)``: everything else already ``given``.
        variable: Which variable the picture is over. Of one number: a curve. Of two: the plane itself.
        plane: Three values ``(3, *event)`` that the plane goes through, for a variable of more than two numbers; by
            default the first two principal directions of ``data``.
        data: ``(N, *event)`` samples to draw.
        labels: ``(N,)`` their classes, or values.
        names: What the classes are called.
        extent: ``(left, right, bottom, top)`` in the plane's coordinates; by default the data with a margin.
        resolution: Points along each side.
        trajectories: ``(T, *event)``, ``(T, N, *event)`` or a list of ``(T, *event)``: paths of a solver, from an open to
            a full dot.
        minima: True marks the low points of what is drawn, False does not; or ``(N, *event)`` points to mark.
        ceiling: Energies above it all look alike; by default the 97th percentile where a few walls dwarf the rest.
        unit: The unit of the energy, for the colour bar.
        axes_names: What the two coordinates are called.
        width: In inches.
        height: In inches.

    Raises:
        UsageError: If a variable of more than two numbers comes without a plane or data, or shapes don't agree.
    """
    return landscapes(
        {"": energy}, variable, plane=plane, data=data, labels=labels, names=names, extent=extent, resolution=resolution,
        trajectories={"": trajectories}, minima=minima, ceiling=ceiling, unit=unit, axes_names=axes_names, width=width, height=height,
    )  # fmt: skip


def landscapes(
    energies: Mapping[str, Callable[..., Tensor]],
    variable: str,
    *,
    plane: Any = None,
    data: Any = None,
    labels: Any = None,
    names: Sequence[str] = (),
    extent: tuple[float, float, float, float] | tuple[float, float] | None = None,
    resolution: int = 80,
    trajectories: Mapping[str, Any] | None = None,
    minima: bool | Any = True,
    ceiling: float | None = None,
    unit: str = "",
    axes_names: tuple[str, str] | None = None,
    width: float | None = None,
    height: float | None = None,
    columns: int = 3,
) -> Figure:
    """Several energies over the same variable, side by side on one colour scale; arguments as in `landscape`.

    Args:
        energies: Title to energy.
        trajectories: Title to paths, drawn in that panel.
        columns: How many panels beside each other.
    """  # fmt: skip
    first = next(iter(energies.values()), None)
    if first is None:
        raise UsageError("landscapes: wanted at least one energy, got none.")
    shape = event_shape(first, variable, data, plane, extent)
    if int(np.prod(shape)) == 1:
        return _curve(energies, variable, shape, data, extent, resolution, unit, width or 6.4, height or 3.8)
    chosen = choose_plane(first, variable, shape, plane, data, axes_names)
    shown = choose_extent(chosen, data, plane, trajectories, extent)
    across = np.linspace(shown[0], shown[1], resolution)
    up = np.linspace(shown[2], shown[3], resolution)
    places = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    grids = {
        title: _evaluate(energy, variable, chosen, places).reshape(resolution, resolution)
        for title, energy in energies.items()
    }
    if ceiling is None and data is not None:
        shadows = chosen.points(torch.as_tensor(chosen.places(data), dtype=chosen.origin.dtype))
        ceiling = _above_data([_energies(energy, variable, shadows) for energy in energies.values()], grids)
    levels, capped = _levels(list(grids.values()), ceiling)

    columns = min(columns, len(grids))
    rows = -(-len(grids) // columns)
    size = {"width": width or 1.2 + 3.4 * columns, "height": height or 3.3 * rows + 0.3}
    figure, panes = panels(rows, columns, sharex=True, sharey=True, **size)
    with house_style():
        for axes, (title, heights) in zip(panes.flat, grids.items(), strict=False):
            _draw_energy(axes, across, up, heights, levels, capped)
            axes.set_title(title)
            if data is not None:
                draw_points(axes, chosen.places(data), labels, names, edge="white")
            for index, path in enumerate(separate_paths((trajectories or {}).get(title), shape)):
                _draw_path(axes, chosen.places(path), index)
            if minima is True:
                _draw_low(axes, _low_points(heights, across, up, levels))
            elif minima is not False:
                _draw_low(axes, chosen.places(minima))
            axes.set(xlim=shown[:2], ylim=shown[2:])
        for axes in panes.flat[len(grids) :]:
            axes.set_axis_off()
        for axes in panes[-1]:
            axes.set_xlabel(chosen.names[0])
        for axes in panes[:, 0]:
            axes.set_ylabel(chosen.names[1])
        _colour_bar(figure, panes, levels, capped, unit)
        _legend(figure, panes.flat[0], labels is not None)
    return figure


def _draw_energy(
    axes: Axes, across: np.ndarray, up: np.ndarray, heights: np.ndarray, levels: np.ndarray, capped: bool
) -> None:
    axes.set_facecolor("#b9c0c7")  # where the energy is not a number
    options = {"cmap": energy_colours(), "extend": "max" if capped else "neither"}
    axes.contourf(across, up, heights, levels, **options).set_rasterized(True)
    if np.nanmin(heights) < levels[3] < np.nanmax(heights):
        axes.contour(across, up, heights, levels[3::3], colors="white", linewidths=0.5, alpha=0.45)


def _colour_bar(figure: Figure, panes: np.ndarray, levels: np.ndarray, capped: bool, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    low, high = levels[0], levels[-1]
    ticks = [tick for tick in MaxNLocator(7).tick_values(low, high) if low <= tick <= high]
    scale = ScalarMappable(Normalize(low, high), energy_colours())
    bar = figure.colorbar(
        scale, ax=panes, pad=0.02, aspect=28, ticks=ticks, extend="max" if capped else "neither", extendfrac=0.03
    )
    bar.set_label(_energy_label(unit))
    bar.outline.set_visible(False)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    bar.ax.tick_params(length=0)


def _energy_label(unit: str) -> str:
    return f"energy ({unit})" if unit else "energy"


def _draw_low(axes: Axes, places: np.ndarray) -> None:
    """Crosses: red on a white rim, to be seen on every colour."""
    if len(places):
        axes.plot(*places.T, "x", color="white", markersize=9, markeredgewidth=3.6, zorder=5)
        axes.plot(*places.T, "x", color="#b2182b", markersize=8, markeredgewidth=2.0, zorder=6, label="low point")


def _evaluate(energy: Any, variable: str, chosen: Plane, places: np.ndarray) -> np.ndarray:
    return _energies(energy, variable, chosen.points(torch.as_tensor(places, dtype=chosen.origin.dtype)))


def _energies(energy: Any, variable: str, values: Tensor) -> np.ndarray:
    """The energy of each value, a chunk at a time; infinite ones become NaN and are left blank."""
    dtype, device = dtype_and_device(energy)
    found = []
    with torch.no_grad():
        for chunk in values.to(dtype).split(_CHUNK):
            found.append(array(energy(**{variable: chunk.to(device)})).astype(float))
            if found[-1].shape != (len(chunk),):
                raise UsageError(
                    f"landscape: wanted one energy a point, ({len(chunk)},), got {found[-1].shape}; fix other variables with `given` first."
                )
    result = np.concatenate(found)
    if not np.isfinite(result).any():
        raise UsageError("landscape: the energy is not finite anywhere on what is to be drawn; choose another extent.")
    return np.where(np.isfinite(result), result, np.nan)


def _levels(grids: Sequence[np.ndarray], ceiling: float | None) -> tuple[np.ndarray, bool]:
    """Heights of the filled contours, the same for all panels, and whether energies reach above them."""
    values = np.concatenate([grid[np.isfinite(grid)] for grid in grids])
    low, high = float(values.min()), float(values.max())
    middle, upper = np.quantile(values, [0.5, 0.97])
    if ceiling is None:
        # A few very high walls would leave one colour for everything that matters.
        ceiling = float(upper) if high - low > 4 * (upper - low) or upper - low > 20 * (middle - low) else high
    if not ceiling > low:
        ceiling = low + max(abs(low), 1.0) * 1e-3
    return np.linspace(low, ceiling, 31), high > ceiling * (1 + 1e-9) + 1e-12


def _above_data(data: Sequence[np.ndarray], grids: Mapping[str, np.ndarray]) -> float:
    """Twice as far above the lowest point as nearly all of the data: the colours are spent where the data lie."""
    low = min(float(np.nanmin(grid)) for grid in grids.values())
    top = max(float(np.nanquantile(energies, 0.98)) for energies in data)
    return min(low + 2.0 * (top - low), max(float(np.nanmax(grid)) for grid in grids.values()))


def _low_points(
    heights: np.ndarray, across: np.ndarray, up: np.ndarray, levels: np.ndarray, most: int = 12
) -> np.ndarray:
    """Where a grid is lower than all places within a sixteenth of its side, lowest first; borders don't count."""
    reach = max(1, len(across) // 16)
    filled = np.where(np.isfinite(heights), heights, np.inf)
    padded = np.pad(filled, reach, constant_values=np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    around = windows.min((2, 3))
    # On a plain every place is as low as its neighbours: there is no low point to show.
    rim = np.where(np.isfinite(windows), windows, -np.inf).max((2, 3)) - filled
    low = (filled == around) & (rim > 0.005 * (levels[-1] - levels[0]))
    low[[0, -1], :] = low[:, [0, -1]] = False
    rows, columns = np.nonzero(low)
    kept: list[int] = []
    for index in np.argsort(filled[rows, columns], kind="stable"):
        # Of equally low neighbours one is enough.
        if all(max(abs(rows[index] - rows[other]), abs(columns[index] - columns[other])) > reach for other in kept):
            kept.append(int(index))
    kept = kept[:most]
    return np.stack([across[columns[kept]], up[rows[kept]]], -1)


def _draw_path(axes: Axes, places: np.ndarray, index: int) -> None:
    colour = ("#ffb000", "#ff6f59", "#f4e04d", "#ff9ecb")[index % 4]
    options = {"color": colour, "zorder": 4}
    axes.plot(*places.T, color="#00000066", linewidth=2.8, zorder=4)
    axes.plot(*places.T, linewidth=1.5, label="solver's path" if index == 0 else None, **options)
    axes.plot(*places[0], "o", markerfacecolor="white", markersize=5.5, **options)
    axes.plot(*places[-1], "o", markersize=6, markeredgecolor="white", **options)


def _legend(figure: Figure, axes: Axes, classes: bool) -> None:
    """One row under the figure for what all panels share, if there is something to tell apart."""
    handles, texts = axes.get_legend_handles_labels()
    if not texts or len(texts) > 16:
        return
    wanted = sum(map(len, texts)) + 5 * len(texts)
    rows = -(-wanted // int(12 * figure.get_figwidth()))
    figure.legend(
        handles, texts, loc="outside lower left", ncols=-(-len(texts) // rows), handletextpad=0.2, columnspacing=1.0,
        handlelength=1.2, markerscale=1.3 if classes else 1.0,
    )  # fmt: skip


def _curve(
    energies: Mapping[str, Callable[..., Tensor]], variable: str, shape: tuple[int, ...], data: Any, extent: Any,
    resolution: int, unit: str, width: float, height: float,
) -> Figure:  # fmt: skip
    """Energies of one number: curves, with a tick at each sample."""
    samples = None if data is None else array(data).reshape(-1).astype(float)
    if extent is not None:
        low, high = float(extent[0]), float(extent[1])
    elif samples is not None:
        margin = 0.15 * max(float(np.ptp(samples)), 1e-3)
        low, high = float(samples.min()) - margin, float(samples.max()) + margin
    else:
        low, high = -3.0, 3.0
    places = np.linspace(low, high, max(resolution, 200))
    series = {
        title or "energy": _energies(energy, variable, torch.as_tensor(places).reshape(-1, *shape))
        for title, energy in energies.items()
    }
    figure, grid = panels(width=width, height=height)
    axes = grid[0, 0]
    with house_style():
        draw_lines(axes, places, series, log=False, markers=False)
        if samples is not None:
            axes.plot(
                samples,
                np.full_like(samples, 0.025),
                "|",
                color=PALETTE[1],
                alpha=0.5,
                markersize=9,
                transform=axes.get_xaxis_transform(),
                rasterized=len(samples) > 400,
            )
        axes.set(xlabel=variable, ylabel=_energy_label(unit), xlim=(low, high))
    return figure
