"""Moments of traffic: a stretch of road seen from one car, and where its neighbours may get to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Float
from torch import Tensor

from ..data.traffic import EACH, NEIGHBOURS, OWN, SIGHT
from .style import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: How much of the road is shown, in metres either way, and how a car is drawn: length and width.
SHOWN, LENGTH, WIDTH = 36, 5, 2
CAR, OTHER, FUTURE, CAME, BLURRED, LINE = "#dc6e32", "#b9cfdd", "#285a78", "#14303f", "#c02020", "#c8ccd2"


class Moment(NamedTuple):
    """States as `lowland.data.traffic` has them: now, then, as one model has it without z, and with several z."""

    now: Float[Tensor, " S"]
    came: Float[Tensor, "T S"]
    blurred: Float[Tensor, "T S"]
    drawn: Float[Tensor, "K T S"]


def telling(runs: Mapping[str, Tensor], blurred: Tensor, drawn: Tensor, count: int = 4) -> list[Moment]:
    """Some of the moments in which futures differ most.

    Args:
        runs: ``s (W, S)`` and ``y (W, T, S)``.
        blurred: ``(W, T, S)``, as a model without z has it.
        drawn: ``(K, W, T, S)``, with several z.
        count: How many.
    """
    along = slice(OWN, None, EACH)
    nobody = runs["s"][:, along].abs() >= SIGHT
    spread = drawn[:, :, -1, along].std(0).masked_fill(nobody, 0.0).amax(-1)
    most, apart = max(len(spread) // 8, count), max(len(spread) // 32, 1)
    chosen = spread.argsort(descending=True)[:most:apart][:count].tolist()
    return [Moment(runs["s"][row], runs["y"][row], blurred[row], drawn[:, row]) for row in chosen]


def moments(shown: list[Moment], through: dict[str, float], lanes: int, lane: float) -> Figure:
    """Moments below each other, and beside them how many get through, in per cent.

    Args:
        shown: The moments.
        through: Per cent, by the name of who drives; the first is set apart.
        lanes: How many the road has.
        lane: How wide each of them is, in metres.
    """
    figure, grid = panels(len(shown), 2, width=9.6, height=1.15 * len(shown), width_ratios=(3, 1))
    for axes, moment in zip(grid[:, 0], shown, strict=True):
        _draw(axes, moment, lanes, lane)
    grid[-1, 0].set_xlabel("metres along the road")
    for axes in grid[:, 1]:
        axes.remove()
    beside = figure.add_subplot(grid[0, 1].get_gridspec()[:, 1])
    beside.barh(range(len(through)), list(through.values()), color=[CAR, *["#9db8cc"] * (len(through) - 1)])
    beside.set_yticks(range(len(through)), list(through))
    beside.invert_yaxis()
    beside.set(xlabel="% get through", xlim=(0, 100))
    return figure


def _places(states: Tensor) -> tuple[Tensor, Tensor]:
    """Of the neighbours: along the road, seen from the car, and across it."""
    along, across = states[..., OWN:].unflatten(-1, (NEIGHBOURS, EACH))[..., :2].unbind(-1)
    return along, across + states[..., :1]


def _draw(axes: Axes, moment: Moment, lanes: int, lane: float) -> None:
    from matplotlib.patches import Rectangle

    for line in range(lanes + 1):
        axes.axhline(line * lane, color=LINE, linewidth=2 if line in (0, lanes) else 0.8, zorder=0)
    now, came, one, futures = (_places(part) for part in moment)
    for car in range(NEIGHBOURS):
        if now[0][car].abs() >= SIGHT:
            continue
        corner = float(now[0][car]) - LENGTH / 2, float(now[1][car]) - WIDTH / 2
        axes.add_patch(Rectangle(corner, LENGTH, WIDTH, color=OTHER))
        axes.plot(futures[0][:, :, car].T, futures[1][:, :, car].T, color=FUTURE, linewidth=0.7)
        axes.plot(futures[0][:, -1, car], futures[1][:, -1, car], ".", color=FUTURE, markersize=4)
        axes.plot(one[0][-1, car], one[1][-1, car], "x", color=BLURRED, markersize=6, markeredgewidth=1.6)
        axes.plot(came[0][-1, car], came[1][-1, car], "o", color=CAME, markersize=7, fillstyle="none")
    axes.add_patch(Rectangle((-LENGTH / 2, moment.now[0].item() - WIDTH / 2), LENGTH, WIDTH, color=CAR))
    axes.set(xlim=(-SHOWN, SHOWN), ylim=(lanes * lane + 0.5, -0.5), yticks=[])
