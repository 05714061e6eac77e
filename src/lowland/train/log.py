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
    """``metrics.jsonl``: one JSON object a line, on the disk as soon as it is written.

    Args:
        path: The file; ``None`` writes nothing.
        keep: Bytes of it that stay; what a killed run wrote after its last checkpoint is cut off.
    """

    def __init__(self, path: Path | None, keep: int = 0) -> None:
        self.path, self.bytes = path, keep
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.truncate(keep)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            CheckpointError: If the disk refuses.
        """
        if self.path is None:
            return
        text = (json.dumps(line) + "\n").encode()
        try:
            with self.path.open("ab") as file:
                file.write(text)
        except OSError as error:
            raise CheckpointError(f"{self.path}: could not be written, {reason(error)}.") from error
        self.bytes += len(text)


class Record(NamedTuple):
    """What one step left behind."""

    step: int
    indices: Tensor | None  # which samples
    terms: dict[str, Tensor | float]  # without their graphs: fifty of them would be fifty batches in memory


class Window:
    """Losses of the latest steps, looked at together: reading each at once would make an accelerator wait.

    Args:
        stage: Named in an error.
        reduce: Averages a table over processes.
        look: The samples with these indices, or ``None`` where data can't be looked at again.
    """

    def __init__(self, stage: str, reduce: Callable[[Tensor], Tensor], look: Callable[[Tensor], Any]) -> None:
        self.stage, self.reduce, self.look = stage, reduce, look
        self._records: list[Record] = []
        self.seen: dict[str, list[float]] = {}
        self.latest: dict[str, float] = {}

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
        cells = [record.terms.get(name, 0.0) for record in self._records for name in names]
        device = next((cell.device for cell in cells if isinstance(cell, Tensor)), None)
        flat = [torch.as_tensor(cell, dtype=torch.float32, device=device).reshape(()) for cell in cells]
        table = self.reduce(torch.stack(flat).reshape(len(self._records), len(names)))
        for record, values in zip(self._records, table.tolist(), strict=True):
            bad = [name for name, value in zip(names, values, strict=True) if not math.isfinite(value)]
            if bad:
                raise DivergenceError(self._sentence(record, bad, values[names.index(bad[0])]))
            for name, value in zip(names, values, strict=True):
                if name in record.terms:
                    self.seen.setdefault(name, []).append(value)
        self._records.clear()

    def means(self) -> dict[str, float]:
        """The mean of each term since the last time this was asked; if there was none since, what was said then."""
        if self.seen:
            self.latest = {name: math.fsum(values) / len(values) for name, values in self.seen.items()}
            self.seen = {}
        return self.latest

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "latest": self.latest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.latest = state["seen"], state["latest"]

    def _sentence(self, record: Record, bad: list[str], value: float) -> str:
        # the total is never the news when one of its parts is the cause
        parts = [name for name in bad if name.rpartition("/")[2] != "loss"] or bad
        text = f"Stage {self.stage!r}, step {record.step}: {', '.join(parts)} became {value:g}"
        advice = "try a smaller rate, or clip the gradient."
        if record.indices is None:
            return f"{text}: {advice}"
        shown = ", ".join(map(str, record.indices[:8].tolist()))
        text += f" on the batch of samples {shown}{', …' if len(record.indices) > 8 else ''}"
        if spoilt := _spoilt(self.look(record.indices), record.indices):
            return f"{text}; {spoilt}: repair the data."
        return f"{text}; its data are finite: {advice}"


def _spoilt(batch: Any, indices: Tensor, name: str = "the data") -> str | None:
    """Which variable of a batch is not finite, and in which samples."""
    if isinstance(batch, Tensor):
        if not batch.is_floating_point() or len(batch) != len(indices) or bool(torch.isfinite(batch).all()):
            return None
        rows = torch.isfinite(batch).reshape(len(batch), -1).all(1).logical_not().nonzero()[:5, 0].cpu()
        return f"{name} is not finite in sample {', '.join(map(str, indices[rows].tolist()))}"
    parts = batch.items() if isinstance(batch, Mapping) else enumerate(batch) if isinstance(batch, tuple | list) else ()
    return next(filter(None, (_spoilt(part, indices, f"variable {key!r}") for key, part in parts)), None)


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
