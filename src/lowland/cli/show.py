"""Figures and times as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def figures(metrics: Iterable[Mapping[str, Any]]) -> str:
    """A table of what was measured beside the gate and the paper's figure."""
    rows = [("figure", "ours", "gate", "", "paper")]
    for metric in metrics:
        sign = "≤" if metric["better"] == "lower" else "≥"
        gate = "" if metric["gate"] is None else f"{sign} {number(metric['gate'])}"
        met = {True: "met", False: "NOT met", None: ""}[metric["met"]]
        unit = f" {metric['unit']}" if metric.get("unit") else ""
        runs = metric.get("runs", [])
        spread = f" ({number(min(runs))} to {number(max(runs))})" if len(runs) > 1 else ""
        paper = "" if metric["paper"] is None else number(metric["paper"])
        rows.append((metric["name"], number(metric["value"]) + unit + spread, gate, met, paper))
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns under their headings (the first row)."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def number(value: float) -> str:
    """Four digits that matter."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def picture(pixels: Any) -> str:
    """A picture ``(C, H, W)`` in [0, 1] in characters, two to a pixel, wide ones thinned to a terminal's width."""
    grey = pixels.float().mean(0).clamp(0, 1)
    grey = grey[:: max(1, -(-grey.shape[0] // 40)), :: max(1, -(-grey.shape[1] // 40))]
    shades = " .:-=+*#%@"
    return "\n".join("  " + "".join(2 * shades[min(int(value * 10), 9)] for value in row) for row in grey.tolist())
