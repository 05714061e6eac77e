"""The ledger: what a system measured, in ``results/<system>/<preset>.json``, and how to measure it again."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UsageError
from ..system import System, find
from . import files, run
from .execution import execute
from .run import Run, Settings

#: A run that takes longer than this (seconds) is recorded once; a shorter one with `SEEDS` seeds.
LONG = 300.0
SEEDS = 3
#: How far from the recorded value a repeated figure may be, beyond the range of the recorded runs: this part of it.
SLACK = 0.02


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One figure, recorded and measured again.

    Attributes:
        name: Which.
        recorded: What the ledger holds: the mean over its runs.
        again: The mean over the repeated runs.
        allowed: How far apart they may be: the range of the recorded runs, or 2 % of the value where that is more.
        identical: Whether every run repeated to the last bit.
    """

    name: str
    recorded: float
    again: float
    allowed: float
    identical: bool

    @property
    def agrees(self) -> bool:
        """Whether the two are within what is allowed."""
        return abs(self.recorded - self.again) <= self.allowed


def record(
    system: System | str,
    config: Any = None,
    settings: Settings | None = None,
    *,
    seeds: int | None = None,
    results: str | Path | None = None,
    why: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    shown: bool | None = None,
    finish: Callable[[Run], Any] = lambda finished: None,
) -> tuple[Path, dict[str, Any], Any]:
    """Run a system with several seeds and write what it measured to the ledger.

    Args:
        system: It, or its name.
        config: Its configuration; by default that of the preset.
        settings: Its ``seed`` is the first of consecutive ones.
        seeds: How many runs; by default 3 if the first takes less than five minutes, else 1.
        results: The ledger's folder; by default ``results/`` of the source tree, or of the present folder.
        why: For a figure whose gate is not met, the reason; reasons that were recorded before are kept.
        command: The words of the command that does this; by default the shortest that does.
        shown: Whether progress bars are shown.
        finish: Called with each run as soon as it has ended (writes its report).

    Returns:
        The ledger's file, what was written, and what ``finish`` gave for the first run.

    Raises:
        UsageError: If a setting that the ledger does not tell of changes the figures.
    """
    system = find(system) if isinstance(system, str) else system
    settings = settings or Settings()
    if settings.steps is not None:
        raise UsageError("--record: a run cut short by --steps is no result; leave out one of the two.")
    if settings.devices > 1:
        raise UsageError("--record: figures are recorded with one process; leave out --devices.")
    found: list[dict[str, Any]] = []
    first = None
    while not found or len(found) < _wanted(seeds, found[0]["seconds"]):
        one = execute(system, config, dataclasses.replace(settings, seed=settings.seed + len(found)), shown=shown)
        drawn = finish(one)
        first = first if found else drawn
        found.append(one.result)
    path = _folder(results) / system.name / f"{settings.preset}.json"
    command = list(command) or ["lowland", "train", system.name, "--preset", settings.preset, "--record"]
    entry = _entry(system, found, command, {**_reasons(path), **(why or {})})
    files.replace_text(path, json.dumps(entry, indent=2, ensure_ascii=False) + "\n")
    return path, entry, first


def reproduce(
    result: str | Path,
    *,
    device: str = "auto",
    data: str | None = None,
    seeds: int | None = None,
    shown: bool | None = None,
) -> list[Comparison]:
    """Run a ledger entry, or a run's ``result.json``, again and compare figure by figure.

    Args:
        result: The file, or a folder that is a run.
        device: "auto", "cpu", "cuda" or "cuda:1".
        data: Folder of data sets searched first.
        seeds: Repeat only this many of the recorded runs.
        shown: Whether progress bars are shown.

    Raises:
        CheckpointError: If the file can't be read or is no result.
    """
    entry = read(result)
    system = find(entry["system"])
    config = run.restore_config(system, entry["config"])
    chosen = entry["seeds"][:seeds]
    repeated: dict[str, list[float]] = {}
    for seed in chosen:
        settings = Settings(preset=entry["preset"], seed=seed, device=device, data=data)
        for metric in execute(system, config, settings, shown=shown).result["metrics"]:
            repeated.setdefault(metric["name"], []).append(metric["value"])
    comparisons = []
    for metric in entry["metrics"]:
        again = repeated.get(metric["name"])
        if again is None:
            raise CheckpointError(
                f"{result}: it holds {metric['name']}, which {system.name} no longer measures; record it again."
            )
        runs = metric["runs"]
        recorded = math.fsum(runs[: len(again)]) / len(again)
        allowed = max(max(runs) - min(runs), SLACK * abs(recorded))
        comparisons.append(
            Comparison(metric["name"], recorded, math.fsum(again) / len(again), allowed, again == runs[: len(again)])
        )
    return comparisons


def read(result: str | Path) -> dict[str, Any]:
    """A ledger entry; a run's ``result.json`` is one with a single seed.

    Raises:
        CheckpointError: If the file can't be read or is no result.
    """
    path = Path(result)
    path = path / run.RESULT if path.is_dir() else path
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry.setdefault("seeds", [entry["seed"]] if "seed" in entry else None)
        missing = {"system", "preset", "config", "seeds", "metrics"} - {
            name for name, value in entry.items() if value is not None
        }
    except FileNotFoundError:
        raise CheckpointError(
            f"{result}: there is no such result; wanted a file of results/, like results/lenet/cpu.json."
        ) from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{result}: not a result ({error}).") from error
    if missing:
        raise CheckpointError(f"{result}: not a result, it lacks {', '.join(sorted(missing))}.")
    return entry


def _wanted(seeds: int | None, seconds: float) -> int:
    if seeds is not None:
        if seeds < 1:
            raise UsageError(f"--seeds: wanted at least 1, got {seeds}.")
        return seeds
    return SEEDS if seconds < LONG else 1


def _entry(
    system: System, found: Sequence[dict[str, Any]], command: Sequence[str], why: Mapping[str, str]
) -> dict[str, Any]:
    first = found[0]
    metrics = []
    for index, metric in enumerate(system.metrics_under(first["preset"])):
        values = [one["metrics"][index]["value"] for one in found]
        value = math.fsum(values) / len(values)
        line = {**first["metrics"][index], "value": value, "runs": values, "met": metric.met(value)}
        del line["unit"]  # the gallery has it
        if line["met"] is False:
            line["why"] = why.get(metric.name, "")
        metrics.append(line)
    return {
        "system": first["system"],
        "rows": first["rows"],
        "preset": first["preset"],
        "command": shlex.join(command),
        "recorded": time.strftime("%Y-%m-%d"),
        "seconds": round(math.fsum(one["seconds"] for one in found) / len(found), 1),
        "device": first["device"],
        "versions": first["versions"],
        "seeds": [one["seed"] for one in found],
        "config": first["config"],
        "data": first["data"],
        "metrics": metrics,
    }


def _reasons(path: Path) -> dict[str, str]:
    """Why gates were not met, as recorded before."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return {metric["name"]: metric["why"] for metric in entry["metrics"] if metric.get("why")}
    except (OSError, ValueError, KeyError):
        return {}


def _folder(results: str | Path | None) -> Path:
    if results is not None:
        return Path(results)
    tree = Path(__file__).resolve().parents[3]
    return tree / "results" if (tree / "pyproject.toml").exists() else Path("results")
