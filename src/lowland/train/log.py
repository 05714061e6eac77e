"""What a run says while it runs: lines in ``metrics.jsonl``, a bar on stderr, and a stop when a loss isn't finite."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import CheckpointError, DivergenceError
from .files import reason

#: Seconds between two looks of the progress bar.
REFRESH = 0.25


class MetricsLog:
    """``metrics.jsonl``: one JSON object a line, each flushed; without a path it writes nothing."""

    def __init__(self, path: Path | None, keep: int = 0) -> None:
        """Args:
        path: The file.
        keep: Bytes of it that stay; what a killed run wrote after its last checkpoint is cut off.
        """
        self.path = path
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            self._file.truncate(keep)

    def write(self, line: Mapping[str, Any]) -> None:
        if self._file is not None:
            try:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()
            except OSError as error:
                raise CheckpointError(f"{self.path}: could not be written, {reason(error)}.") from error

    @property
    def bytes(self) -> int:
        return self._file.tell() if self._file is not None else 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Record(NamedTuple):
    """What one step left behind."""

    step: int
    value: Any  # the batch
    indices: Tensor | None
    terms: dict[str, Tensor | float]


class Window:
    """Losses of the latest steps, looked at together: reading each at once would make an accelerator wait.

    Args:
        stage: Named in an error.
        reduce: Averages a table over processes.
    """

    def __init__(self, stage: str, reduce: Callable[[Tensor], Tensor]) -> None:
        self.stage, self.reduce = stage, reduce
        self._records: list[Record] = []
        self.seen: dict[str, list[float]] = {}

    def add(self, record: Record) -> None:
        self._records.append(record)

    def check(self) -> None:
        """Read what was added since the last look.

        Raises:
            DivergenceError: At the first loss that is not finite: which step, which term, which samples.
        """
        if not self._records:
            return
        names = list({name: None for record in self._records for name in record.terms})
        rows = [[torch.as_tensor(r.terms.get(name, 0.0)).detach().float() for name in names] for r in self._records]
        table = self.reduce(
            torch.stack([cell.reshape(()) for row in rows for cell in row]).reshape(len(rows), len(names))
        )
        for record, values in zip(self._records, table.tolist(), strict=True):
            bad = [name for name, value in zip(names, values, strict=True) if not math.isfinite(value)]
            if bad:
                raise DivergenceError(self._sentence(record, bad, values[names.index(bad[0])]))
            for name, value in zip(names, values, strict=True):
                if name in record.terms:
                    self.seen.setdefault(name, []).append(value)
        self._records.clear()

    def means(self) -> dict[str, float]:
        """The mean of each term since the last time this was asked."""
        means = {name: math.fsum(values) / len(values) for name, values in self.seen.items()}
        self.seen = {}
        return means

    def _sentence(self, record: Record, bad: list[str], value: float) -> str:
        # the total is never the news when one of its parts is the cause
        parts = [name for name in bad if name.rpartition("/")[2] != "loss"] or bad
        text = f"Stage {self.stage!r}, step {record.step}: {', '.join(parts)} became {value:g}"
        if record.indices is not None:
            shown = ", ".join(map(str, record.indices[:8].tolist()))
            text += f" on the batch of samples {shown}{', …' if len(record.indices) > 8 else ''}"
        if spoilt := _spoilt(record.value):
            return f"{text}; {spoilt}: repair the data."
        return f"{text}; its data are finite: try a smaller rate, or clip the gradient."


def _spoilt(batch: Any, name: str = "the batch") -> str | None:
    """Which variable of a batch is not finite, and where."""
    if isinstance(batch, Tensor):
        if not batch.is_floating_point() or bool(torch.isfinite(batch).all()):
            return None
        rows = torch.isfinite(batch).reshape(len(batch), -1).all(1).logical_not().nonzero()[:, 0]
        return f"{name} is not finite in row {', '.join(map(str, rows[:5].tolist()))} of the batch"
    if isinstance(batch, Mapping):
        return next(filter(None, (_spoilt(value, str(key)) for key, value in batch.items())), None)
    if isinstance(batch, tuple | list):
        return next(filter(None, (_spoilt(value, f"variable {i}") for i, value in enumerate(batch))), None)
    return None


class Bar:
    """A progress bar on stderr that costs nothing between refreshes.

    Args:
        total: Steps, if known.
        title: What is going on.
        shown: ``None`` shows it on a terminal only.
    """

    def __init__(self, total: int | None, title: str, shown: bool | None, at: int = 0) -> None:
        off = not (sys.stderr.isatty() if shown is None else shown)
        self._bar = tqdm(total=total, desc=title, initial=at, disable=off, file=sys.stderr, mininterval=0, leave=False)
        self._next = 0.0
        self._notes: dict[str, str] = {}

    def at(self, step: int, now: float) -> None:
        if now >= self._next and not self._bar.disable:
            self._next = now + REFRESH
            self._bar.update(step - self._bar.n)

    def note(self, figures: Mapping[str, Any]) -> None:
        if not self._bar.disable:
            self._notes |= {name: f"{value:.4g}" for name, value in figures.items() if isinstance(value, int | float)}
            self._bar.set_postfix(self._notes, refresh=False)

    def close(self) -> None:
        self._bar.close()


def progress(items: Iterable[Any], title: str, shown: bool | None) -> Iterable[Any]:
    """The items, with a bar on stderr while they are gone through."""
    off = not (sys.stderr.isatty() if shown is None else shown)
    return tqdm(items, desc=title, disable=off, file=sys.stderr, mininterval=REFRESH, leave=False)


def clock() -> float:
    """Seconds, from any beginning."""
    return time.monotonic()
