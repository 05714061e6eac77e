"""The figures of a run beside the paper's, and whether each gate is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..system import Metric
from .picture import Table, table
from .style import number


def figures_table(figures: Mapping[str, float], metrics: Sequence[Metric]) -> Table:
    """A row for each metric: ours, the gate, the paper's, met or not; what has no metric comes last.

    Args:
        figures: What `System.evaluate` returned.
        metrics: What the figures must meet, as the run's preset has it.
    """
    rows, highlight = [], {}
    for metric in metrics:
        value = figures.get(metric.name)
        met = None if value is None else metric.met(float(value))
        rows.append(
            {
                "figure": label(metric.name),
                "ours": number(value, metric.unit),
                "gate": gate(metric),
                "": "" if met is None else "✓ met" if met else "✗ not met",
                "paper": number(metric.paper, metric.unit),
                "what it is": metric.about,
            }
        )
        if met is not None:
            highlight[len(rows) - 1, ""] = "good" if met else "bad"
    known = {metric.name for metric in metrics}
    for name, value in figures.items():
        if name not in known:
            rows.append(
                {"figure": label(name), "ours": number(value), "gate": "–", "": "", "paper": "–", "what it is": ""}
            )
    columns = ["figure", "ours", "gate", "", "paper", "what it is"]
    if not any(row["what it is"] for row in rows):
        columns.remove("what it is")
    return table(rows, columns, highlight=highlight)


def measured(result: Mapping[str, Any]) -> dict[str, float]:
    """``{metric: value}`` of a ``result.json``."""
    return {metric["name"]: metric["value"] for metric in result.get("metrics") or ()}


def label(name: str) -> str:
    """A metric's name as words: ``test_error`` → ``test error``."""
    return name.replace("_", " ")


def gate(metric: Metric) -> str:
    """A gate as a condition: ``≤ 0.95 %``."""
    if metric.gate is None:
        return "–"
    return f"{'≤' if metric.better == 'lower' else '≥'} {number(metric.gate, metric.unit)}"
