"""The run folder: everything needed to use a trained model, to look at how it came about, and to do it again."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from ..errors import CheckpointError, UsageError
from ..system import Data, System
from . import files

CONFIG, RESULT, WEIGHTS, METRICS = "config.yaml", "result.json", "model.safetensors", "metrics.jsonl"


@dataclass(frozen=True)
class Settings:
    """How a system is run, apart from its own configuration.

    Attributes:
        preset: Which preset the configuration started from.
        seed: Begins every stream of random numbers.
        device: "auto", "cpu", "cuda" or "cuda:1".
        devices: Number of processes that share each batch.
        precision: As Fabric names it; ``None`` leaves it to the device.
        strategy: How processes work together: "fsdp", or a DDP strategy as Fabric names it; "auto" is plain DDP.
        steps: No training stage takes more steps than this; ``None`` for no limit.
        data: Folder of data sets searched first; ``None`` for ``LOWLAND_DATA`` and the cache.
        checkpoint_seconds: Time between checkpoints.
    """

    preset: str = "cpu"
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    precision: str | None = None
    strategy: str = "auto"
    steps: int | None = None
    data: str | None = None
    checkpoint_seconds: float = 60.0


@dataclass
class Run:
    """A finished run.

    Attributes:
        folder: Where it lies.
        system: What was trained.
        config: With which configuration.
        model: The trained model, in evaluation mode.
        data: What it learnt from and was judged on.
        result: What ``result.json`` says.
    """

    folder: Path
    system: System
    config: Any
    model: nn.Module
    data: Data
    result: dict[str, Any]


def new_folder(system: str, out: str | Path | None) -> Path:
    """``out``, or a new folder below ``runs/`` named after the system and the time.

    Raises:
        UsageError: If ``out`` already holds a run.
    """
    if out is not None:
        if (Path(out) / CONFIG).exists():
            raise UsageError(
                f"--out {out}: there is a run in it already; continue it with --resume {out}, or choose another."
            )
        return Path(out)
    stem = f"{system}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        folder = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise CheckpointError(f"{folder}: could not be made, {files.reason(error)}.") from error
    raise CheckpointError(f"runs/{stem}: a thousand runs of this name are there already; choose one with --out.")


def write_config(folder: Path, system: System, config: Any, settings: Settings) -> None:
    """``config.yaml``: everything needed to run it again, defaults written out."""
    values = {"system": system.name, **dataclasses.asdict(settings), "config": plain(config)}
    files.replace_text(folder / CONFIG, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def read_config(folder: str | Path) -> dict[str, Any]:
    """What ``config.yaml`` of a run says.

    Raises:
        CheckpointError: If the folder is no run.
    """
    path = Path(folder) / CONFIG
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = "is not a run folder: it has no config.yaml" if Path(folder).is_dir() else "there is no such folder"
        raise CheckpointError(
            f"{folder}: {what}; wanted a folder that `lowland train` made, like runs/lenet-…."
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: could not be read ({' '.join(str(error).split())}).") from error
    if (
        not isinstance(values, dict)
        or not isinstance(values.get("system"), str)
        or not isinstance(values.get("config"), dict)
    ):
        raise CheckpointError(f"{path}: not the configuration of a run; wanted entries `system` and `config`.")
    return values


def read_result(folder: str | Path) -> dict[str, Any]:
    """What ``result.json`` of a run says.

    Raises:
        CheckpointError: If the run has not ended or the file is damaged.
    """
    path = Path(folder) / RESULT
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder}: the run has not ended; continue it with `lowland train --resume {folder}`."
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: could not be read ({error}).") from error


def restore_config(system: System, values: dict[str, Any]) -> Any:
    """A configuration from what `plain` made of it: lists become tuples where the defaults are tuples."""
    defaults = system.config()
    changed = {}
    for name, value in values.items():
        changed[name] = _like(value, getattr(defaults, name, None))
    return system.configure(**changed) if "cpu" not in system.presets else _bare(system, changed)


def _bare(system: System, values: dict[str, Any]) -> Any:
    unknown = values.keys() - {field.name for field in dataclasses.fields(system.config)}
    if unknown:
        raise UsageError(f"{system.name}: no option called {', '.join(sorted(unknown))}.")
    return system.config(**values)


def _like(value: Any, default: Any) -> Any:
    if isinstance(value, list) and not isinstance(default, list):
        return tuple(_like(part, None) for part in value)
    return value


def plain(config: Any) -> dict[str, Any]:
    """A configuration as numbers, texts, lists and dicts."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def versions() -> dict[str, str]:
    """What the figures were made with."""
    found = {"python": platform.python_version()}
    for name in ("lowland", "torch", "numpy", "scipy", "scikit-learn", "lightning-fabric"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if commit := _commit():
        found["commit"] = commit
    return found


def device_name(device: torch.device) -> str:
    """What figures and seconds were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {platform.machine()}, {cores} cores, {torch.get_num_threads()} threads"


def figures(system: System, preset: str, measured: dict[str, float]) -> list[dict[str, Any]]:
    """Each metric of a system with what was measured, in the shape of the ledger.

    Raises:
        UsageError: If the system measured other metrics than it declares.
    """
    names = {metric.name for metric in system.metrics}
    if names != measured.keys():
        lacking, extra = sorted(names - measured.keys()), sorted(measured.keys() - names)
        raise UsageError(
            f"{system.name}: evaluate must give what `metrics` declares; lacking: {lacking or 'none'}, undeclared: {extra or 'none'}."
        )
    return [
        {
            "name": metric.name,
            "value": float(measured[metric.name]),
            "runs": [float(measured[metric.name])],
            "better": metric.better,
            "gate": metric.gate,
            "gate_source": metric.gate_source,
            "paper": metric.paper,
            "met": metric.met(float(measured[metric.name])) if math.isfinite(measured[metric.name]) else False,
            "unit": metric.unit,
        }
        for metric in system.metrics_under(preset)
    ]


def _commit() -> str | None:
    """The commit this package was at, marked ``-dirty`` when files of the package differ from it."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=10
        )

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        if head.returncode:
            return None
        return head.stdout.strip() + ("-dirty" if git("status", "--porcelain", ".").stdout else "")
    except (OSError, subprocess.TimeoutExpired):
        return None
