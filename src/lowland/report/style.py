"""How every figure of ours looks: one palette, one colour map for energies, no pyplot and no lasting rcParams.

The palette is Okabe and Ito's, told apart by people with any of the common colour deficiencies. Ink, muted and grid are
swapped for the page's own colours when a figure becomes SVG (`picture.svg`), so a figure reads on light and on dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#24292f", "#6e7781", "#d8dee4"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f", "#b2182b", "#4d9221")

#: Low is deep water, high is pale hills: lightness rises evenly (Oklab 0.26 to 0.96), hue goes from blue to green.
_LOWLAND = [
    "#1a233b",
    "#1e3558",
    "#184b73",
    "#00638a",
    "#007c9b",
    "#0095a6",
    "#2facac",
    "#63c1b2",
    "#92d5ba",
    "#bee6ca",
    "#e6f8e2",
]
#: What stands for an unknown pixel (NaN) in an image.
UNKNOWN = "#8fa8c8"

_SETTINGS: dict[str, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "figure.dpi": 100,
    "savefig.facecolor": "none",
    "image.interpolation": "none",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Inside, matplotlib draws in our style; afterwards its settings are what they were."""
    import matplotlib
    from cycler import cycler

    settings: dict[Any, Any] = {**_SETTINGS, "axes.prop_cycle": cycler(color=PALETTE)}
    with matplotlib.rc_context(settings):
        yield


def panels(
    rows: int = 1, columns: int = 1, *, width: float = 6.4, height: float = 4.0, **options: Any
) -> tuple[Figure, np.ndarray]:
    """An empty figure in our style and its axes, ``(rows, columns)``.

    Args:
        rows: Panels above each other.
        columns: Panels beside each other.
        width: Of the whole figure, in inches at 100 dots each.
        height: Likewise.
        **options: For ``Figure.subplots`` (``sharex``, ``width_ratios``, ...).
    """
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes


def energy_colours() -> Colormap:
    """The colour map of energies: perceptually uniform, deep blue where energy is low."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("lowland", _LOWLAND, N=256)


def class_colours(count: int) -> list[str]:
    """``count`` colours for classes: the palette, then evenly spaced ones where it is too short."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["turbo"](place)) for place in np.linspace(0.05, 0.95, count)]


def array(value: Any) -> np.ndarray:
    """Anything like an array (a tensor on any device, a list) as a NumPy array; half precision becomes single."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.is_floating_point() and value.element_size() < 4 else value).numpy()
    return np.asarray(value)


def number(value: Any, unit: str = "") -> str:
    """A number as a reader wants it: four significant digits, thousands set apart, its unit after it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    value = float(value)
    if not np.isfinite(value):
        text = "not a number" if np.isnan(value) else "−∞" if value < 0 else "∞"
    elif value == int(value) and abs(value) < 1e9:
        text = f"{int(value):,}"
    elif 1e-3 <= abs(value) < 1e6:
        digits = max(0, 3 - int(np.floor(np.log10(abs(value)))))
        text = f"{value:,.{min(digits, 4)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:.2e}"
    text = text.replace("-", "−").replace(",", " ")
    return text + (f" {unit}" if unit else "")


def duration(seconds: float | None) -> str:
    """A time as a person says it: ``8.4 s``, ``3 min 20 s``, ``1 h 05 min``."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
