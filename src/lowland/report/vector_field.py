"""Vector fields: where each point of the plane is sent, drawn as arrows r(x) − x.

Of a denoising autoencoder the arrows are σ² times the slope of the data's log density (Alain & Bengio, JMLR 15 (2014),
theorem 2); of any energy they are −∇E.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UsageError
from .charts import draw_points
from .plane import choose_extent, choose_plane
from .style import array, energy_colours, house_style, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Arrows longer than this share of the distance between two of them are drawn this long: their colour says how long they are.
_LONGEST = 0.9


def vector_field(
    moves: Mapping[str, Callable[[Tensor], Tensor]] | Callable[[Tensor], Tensor],
    *,
    data: Any,
    plane: Any = None,
    extent: tuple[float, float, float, float] | None = None,
    resolution: int = 22,
    names: tuple[str, str] | None = None,
    columns: int = 3,
    width: float | None = None,
    height: float | None = None,
) -> Figure:
    """Arrows from points of a plane towards where they are sent; deep blue ones are short.

    Args:
        moves: ``move(x (N, *event)) → (N, *event)``, where x is sent (a reconstruction, a step downhill); or several, by title.
        data: ``(N, *event)``, drawn as points, whose first two principal directions are the plane for events of more than two numbers.
        plane: Three values ``(3, *event)`` that the plane goes through instead.
        extent: ``(left, right, bottom, top)`` in the plane's coordinates; by default the data with a margin.
        resolution: Arrows along each side.
        names: What the two coordinates are called.
        columns: How many panels beside each other.
        width: In inches.
        height: In inches.

    Raises:
        UsageError: If a move changes the shape of its points, or there is none.
    """
    each = {"": moves} if callable(moves) else dict(moves)
    if not each:
        raise UsageError("vector_field: wanted at least one move, got none.")
    shape = array(data).shape[1:]
    chosen = choose_plane(None, "x", shape, plane, data, names)
    shown = choose_extent(chosen, data, plane, None, extent)
    across, up = (np.linspace(low, high, resolution) for low, high in (shown[:2], shown[2:]))
    places = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    points = chosen.points(torch.as_tensor(places, dtype=chosen.origin.dtype))
    arrows = {}
    for title, move in each.items():
        with torch.no_grad():
            moved = move(points)
        if moved.shape != points.shape:
            raise UsageError(
                f"vector_field: wanted moved points of shape {tuple(points.shape)}, got {tuple(moved.shape)} for {title!r}."
            )
        arrows[title] = chosen.places(moved) - places
    longest = max(float(np.hypot(*each.T).max()) for each in arrows.values()) or 1.0
    columns = min(columns, len(arrows))
    rows = -(-len(arrows) // columns)
    figure, panes = panels(
        rows, columns, sharex=True, sharey=True, width=width or 1.2 + 3.4 * columns, height=height or 3.3 * rows + 0.3
    )
    reach = _LONGEST * min(across[1] - across[0], up[1] - up[0])
    with house_style():
        drawn = None
        for axes, (title, arrow) in zip(panes.flat, arrows.items(), strict=False):
            length = np.hypot(*arrow.T)
            short = arrow * np.minimum(1.0, reach / np.maximum(length, 1e-12))[:, None]
            draw_points(axes, chosen.places(data), edge="white")
            drawn = axes.quiver(
                *places.T, *short.T, length, cmap=energy_colours(), clim=(0, 1.15 * longest),
                angles="xy", scale_units="xy", scale=1, width=0.004, zorder=4,
            )  # fmt: skip
            axes.set(title=title, xlim=shown[:2], ylim=shown[2:], aspect="equal")
        for axes in panes.flat[len(arrows) :]:
            axes.set_axis_off()
        for axes in panes[-1]:
            axes.set_xlabel(chosen.names[0])
        for axes in panes[:, 0]:
            axes.set_ylabel(chosen.names[1])
        if drawn is not None:
            figure.colorbar(drawn, ax=panes.ravel().tolist(), shrink=0.8, label="distance moved").outline.set_visible(
                False
            )  # type: ignore[operator]
    return figure
