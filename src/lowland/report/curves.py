"""Curves of a run: every term that was logged, training beside validation, a panel a term."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import CheckpointError, UsageError
from .charts import draw_lines
from .style import PALETTE, class_colours, house_style, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Keys of a line that say when, not what.
_WHEN = ("step", "epoch", "seconds", "time", "stage", "total_steps")
_SPLITS = ("train", "validation", "test")
_VALIDATION = " (validation)"
_COLOURS: dict[str, str] = dict(zip(_SPLITS, PALETTE, strict=False))
#: More points than this a curve are averaged in equal pieces: the eye sees no more.
_MOST_POINTS = 400


Curve = tuple[np.ndarray, np.ndarray]  # steps and values, each (N,)


class Series(NamedTuple):
    """Which curve of a term: the stage that logged it, and the data it was measured on."""

    stage: str
    split: str


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``; the last line of a run that was killed may be cut short and is left out.

    Raises:
        CheckpointError: If the file is missing or another line of it is not JSON.
    """
    path = Path(path)
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CheckpointError(f"{path}: wanted the metrics of a run, got {error.strerror}.") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError as error:
            if number == len(texts):
                break
            raise CheckpointError(f"{path}, line {number}: wanted a JSON object, got {text[:40]!r}.") from error
    return lines


def terms(metrics: str | Path | Iterable[Mapping[str, Any]]) -> dict[str, dict[Series, Curve]]:
    """Every logged term of a metrics file or its lines, by stage and split.

    ``train_error`` and ``validation_error`` are one term in two splits. A line without a step counts by itself. What was
    logged once is no curve and is left out.
    """
    rows = read_metrics(metrics) if isinstance(metrics, str | Path) else list(metrics)
    collected: dict[str, dict[Series, list[tuple[float, float]]]] = {}
    for row in rows:
        for key, value in _flat(row):
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            split, term = _split(key)
            points = collected.setdefault(term, {}).setdefault(Series(row.get("stage") or "", split), [])
            points.append((float(row.get("step", len(points))), float(value)))
    found = {}
    for term, series in collected.items():
        kept = {name: _thin(*np.array(points).T) for name, points in series.items() if len(points) > 1}
        if kept:
            found[term] = kept
    return found


def curves(metrics: str | Path | Iterable[Mapping[str, Any]], *, only: Iterable[str] | None = None) -> Figure:
    """A panel for each logged term over the steps, training and validation in one; logarithmic where that helps.

    Stages that log the same term are beside each other in its panel, validation dashed.

    Args:
        metrics: A ``metrics.jsonl``, the run folder it lies in, or its lines.
        only: The terms to draw; by default all.

    Raises:
        UsageError: If nothing was logged twice.
        CheckpointError: If the file can't be read.
    """
    found = terms(metrics)
    found = {term: found[term] for term in only if term in found} if only is not None else found
    if not found:
        raise UsageError("curves: wanted metrics with at least one term logged twice, got none.")
    return draw_terms({term: _named(series) for term, series in found.items()})


def draw_terms(found: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """A panel for each term, a line for each name in it; a name has one colour in all panels, and one legend for all."""
    columns = 1 if len(found) == 1 else 2 if len(found) in (2, 4) else 3
    rows = -(-len(found) // columns)
    names = list(dict.fromkeys(name for series in found.values() for name in series))
    stems = list(dict.fromkeys(name.removesuffix(_VALIDATION) for name in names))
    palette = dict(zip(stems, class_colours(len(stems)), strict=True))
    colours = {name: _COLOURS.get(name, palette[name.removesuffix(_VALIDATION)]) for name in names}
    size = {"width": (6.4, 8.4, 10.4)[columns - 1], "height": 0.5 + (3.3, 2.8, 2.6)[columns - 1] * rows}
    figure, grid = panels(rows, columns, **size)
    lines: dict[str, Any] = {}
    with house_style():
        for axes, (term, series) in zip(grid.flat, found.items(), strict=False):
            places = {name: steps for name, (steps, _) in series.items()}
            values = {name: heights for name, (_, heights) in series.items()}
            dashed = [name for name in series if name.endswith(_VALIDATION)]
            draw_lines(axes, places, values, colours=colours, dashed=dashed)
            lines |= {str(line.get_label()): line for line in axes.get_lines()}
            if (legend := axes.get_legend()) is not None:
                legend.remove()
            axes.set_title(term.replace("_", " "))
            axes.set_xlabel("step")
        for axes in grid.flat[len(found) :]:
            axes.set_axis_off()
        if names != ["train"]:
            across = max(1, int(12 * figure.get_figwidth() / (max(map(len, names)) + 6)))
            figure.legend(
                [lines[name] for name in names],
                names,
                loc="outside lower left",
                ncols=min(across, len(names)),
                handlelength=1.8,
            )
    return figure


def _named(series: Mapping[Series, Curve]) -> dict[str, Curve]:
    """By split if one stage logged the term, else by stage."""
    if len({stage for stage, _ in series}) == 1:
        return {split: curve for (_, split), curve in series.items()}
    return {
        f"{stage or 'run'}{_VALIDATION if split != 'train' else ''}": curve for (stage, split), curve in series.items()
    }


def _flat(row: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Every value of a line with its name; terms in a mapping of their own (``{"parts": {...}}``) too."""
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from (
                (name if key in ("parts", "metrics") else f"{key}_{name}", inner) for name, inner in value.items()
            )
        elif key not in _WHEN:
            yield key, value


def _split(key: str) -> tuple[str, str]:
    """``validation_error`` → (``validation``, ``error``); what names no split was logged while training."""
    for split in _SPLITS:
        for separator in ("_", "/", "."):
            if key.startswith(split + separator):
                return split, key[len(split) + 1 :]
    return "train", key


def _thin(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(steps) <= _MOST_POINTS:
        return steps, values
    edges = np.linspace(0, len(steps), _MOST_POINTS + 1).astype(int)[:-1]
    lengths = np.diff(np.append(edges, len(steps)))
    return np.add.reduceat(steps, edges) / lengths, np.add.reduceat(values, edges) / lengths
