"""Curves of a run: every term that was logged, training beside validation, a panel a term."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CheckpointError, UsageError
from .charts import draw_lines
from .style import PALETTE, house_style, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Keys of a line that say when, not what.
_WHEN = ("step", "epoch", "seconds", "time", "stage", "total_steps")
_SPLITS = ("train", "validation", "test")
_COLOURS = dict(zip(_SPLITS, PALETTE, strict=False))
#: More points than this a curve are averaged in equal pieces: the eye sees no more.
_MOST_POINTS = 400


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


def terms(metrics: str | Path | Iterable[Mapping[str, Any]]) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """``{term: {split: (steps, values)}}`` of a metrics file or its lines; a run's stages follow each other.

    ``train_error`` and ``validation_error`` are one term in two splits. A term logged once is no curve and is left out.
    """
    rows = read_metrics(metrics) if isinstance(metrics, str | Path) else list(metrics)
    collected: dict[str, dict[str, list[tuple[float, float]]]] = {}
    offset, last, stage = 0.0, 0.0, None
    stages = {row["stage"] for row in rows if row.get("stage")}
    for index, row in enumerate(rows):
        if row.get("stage") != stage:
            stage, offset = row.get("stage"), offset + last if stage is not None else offset
            last = 0.0
        here = float(row.get("step", index if not stages else last))
        last = max(last, here)
        for key, value in _flat(row):
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            split, term = _split(key)
            collected.setdefault(term, {}).setdefault(split, []).append((offset + here, float(value)))
    found = {}
    for term, splits in collected.items():
        kept = {split: np.array(points).T for split, points in splits.items() if len(points) > 1}
        if kept:
            found[term] = {split: _thin(*points) for split, points in kept.items()}
    return found


def curves(metrics: str | Path | Iterable[Mapping[str, Any]], *, only: Iterable[str] | None = None) -> Figure:
    """A panel for each logged term over the steps, training and validation in one; logarithmic where that helps.

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
    return draw_terms(found)


def draw_terms(found: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]) -> Figure:
    """A panel for each term, a line for each split (or run)."""
    columns = 1 if len(found) == 1 else 2 if len(found) in (2, 4) else 3
    rows = -(-len(found) // columns)
    figure, grid = panels(
        rows, columns, width=(6.4, 8.4, 10.4)[columns - 1], height=0.3 + (3.3, 2.8, 2.6)[columns - 1] * rows
    )
    with house_style():
        for axes, (term, splits) in zip(grid.flat, found.items(), strict=False):
            places = {split: steps for split, (steps, _) in splits.items()}
            draw_lines(axes, places, {split: values for split, (_, values) in splits.items()}, colours=_COLOURS)
            # The legend stands where a title would: the term's name goes beside it, on the right.
            only = f" ({next(iter(splits))})" if len(splits) == 1 and "train" not in splits else ""
            axes.set_title(term.replace("_", " ") + only, loc="right")
            axes.ticklabel_format(axis="x", style="plain")
        for axes in grid.flat[len(found) :]:
            axes.set_axis_off()
        for axes in grid.flat[max(0, len(found) - columns) : len(found)]:
            axes.set_xlabel("step")
    return figure


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
