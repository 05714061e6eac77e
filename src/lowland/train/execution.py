"""From a system to a run: build, train, evaluate, and write down what came out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import DivergenceError, UsageError
from ..system import Data, System, find
from . import checkpoint, files, randomness, run
from .batches import move
from .engine import without_subnormals
from .log import clock
from .loop import Interrupted
from .run import Run, Settings
from .trainer import Trainer

#: What a run may be resumed without: these change neither what is learnt nor in which order.
_FREE = ("checkpoint_seconds", "data", "device", "devices", "strategy")


def execute(
    system: System | str,
    config: Any = None,
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    shown: bool | None = None,
) -> Run:
    """Train and judge a system, in a new run folder.

    Args:
        system: It, or its name.
        config: Its configuration; by default that of the preset.
        settings: Seed, device and the like.
        out: The folder; by default a new one below ``runs/``.
        shown: Whether progress bars are shown; by default on a terminal.

    Raises:
        LowlandError: What building, data, training or writing may raise; the run can then be resumed.
    """
    system = find(system) if isinstance(system, str) else system
    settings = settings or Settings()
    config = config if config is not None else system.configure(settings.preset)
    with data_folder(settings.data):
        config = system.settled(config)
    child = int(os.environ.get("LOCAL_RANK", "0")) > 0  # started by the first process, which has made the folder
    folder = Path(os.environ["LOWLAND_RUN"]) if child else run.new_folder(system.name, out)
    if not child:
        run.write_config(folder, system, config, settings)
    if settings.devices > 1:
        os.environ["LOWLAND_RUN"] = str(folder.absolute())
    return _execute(system, config, settings, folder, resume=False, shown=shown)


def resume(folder: str | Path, *, settings: dict[str, Any] | None = None, shown: bool | None = None) -> Run:
    """Continue a run that was stopped, from its last checkpoint; one without any begins again.

    Args:
        folder: The run.
        settings: Settings to change: `device`, `devices`, `strategy`, `data` or `checkpoint_seconds`, which don't change what
            is learnt. (With another number of processes random draws are divided among them in another way.)
        shown: Whether progress bars are shown; by default on a terminal.

    Raises:
        UsageError: If another setting would change.
        CheckpointError: If the run or its checkpoint is damaged.
    """
    values = run.read_config(folder)
    system = find(values["system"])
    config = run.restore_config(system, values["config"])
    fields = {field.name for field in dataclasses.fields(Settings)}
    before = {name: value for name, value in values.items() if name in fields}
    for name, value in (settings or {}).items():
        if name not in _FREE and before.get(name) != value:
            raise UsageError(
                f"--{name}: {folder} was started with {before.get(name)}, got {value}; a run resumes as it was started."
            )
    has_checkpoint = checkpoint.newest(Path(folder) / "checkpoints") is not None
    return _execute(
        system, config, Settings(**{**before, **(settings or {})}), Path(folder), resume=has_checkpoint, shown=shown
    )


def _execute(system: System, config: Any, settings: Settings, folder: Path, *, resume: bool, shown: bool | None) -> Run:
    with randomness.seeded(settings.seed), data_folder(settings.data), _resumable(folder), without_subnormals():
        model = build(system, config)
        data = system.data(config)
        randomness.start(randomness.derive(settings.seed, "training"))
        trainer = Trainer(
            model,
            seed=settings.seed,
            device=settings.device,
            devices=settings.devices,
            precision=settings.precision,
            strategy=settings.strategy,
            run=folder,
            resume=resume,
            identity={
                "system": system.name,
                "config": run.plain(config),
                "seed": settings.seed,
                "steps": settings.steps,
            },
            max_steps=settings.steps,
            checkpoint_seconds=settings.checkpoint_seconds,
            shown=shown,
        )
        data = placed(data, trainer.fabric.device)
        system.train(model, config, data, trainer)
        model.eval()
        trainer.close()
        if trainer.fabric.global_rank > 0:
            raise SystemExit(0)
        checkpoint.write(folder / run.WEIGHTS, model.state_dict())
        began = clock()
        measured = evaluate(system, config, model, data, settings.seed)
        result = {
            "system": system.name,
            "rows": list(system.rows),
            "preset": settings.preset,
            "seed": settings.seed,
            "seconds": round(trainer.seconds + clock() - began, 2),
            "device": run.device_name(trainer.fabric.device),
            "versions": run.versions(),
            "config": run.plain(config),
            "data": {name: dict(source) for name, source in data.sources.items()},
            "labels": list(data.labels),
            "metrics": run.figures(system, settings.preset, measured),
        }
        files.replace_text(folder / run.RESULT, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return Run(folder, system, config, model, data, result)


def build(system: System, config: Any) -> nn.Module:
    """The system's model, untrained."""
    model = system.build(config)
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"{system.name}: build must give an Energy or a ModuleDict of them, got {type(model).__name__}."
        )
    return model


def placed(data: Data, device: torch.device) -> Data:
    """The same data with its tensors on a device."""
    splits = {name: move(getattr(data, name), device) for name in ("train", "validation", "test", "extra")}
    return dataclasses.replace(data, **splits)


def evaluate(system: System, config: Any, model: nn.Module, data: Data, seed: int) -> dict[str, float]:
    """A system's figures; the same each time for the same weights."""
    with randomness.seeded(randomness.derive(seed, "evaluation")), torch.no_grad():
        measured = {name: float(value) for name, value in system.evaluate(model, config, data).items()}
    wrong = [name for name, value in measured.items() if math.isnan(value)]
    if wrong:
        raise DivergenceError(f"{system.name}: {', '.join(wrong)} could not be measured, evaluation gave nan.")
    return measured


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Inside, a Ctrl-C anywhere ends with the sentence that says how to continue."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped. Continue with: lowland train --resume {folder}") from None


@contextmanager
def data_folder(folder: str | None) -> Iterator[None]:
    """Inside, data sets are first looked for in this folder."""
    if folder is None:
        yield
        return
    if not Path(folder).is_dir():
        raise UsageError(f"--data {folder}: there is no such folder; wanted one laid out as <data set>/<file>.")
    before = os.environ.get("LOWLAND_DATA")
    os.environ["LOWLAND_DATA"] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ["LOWLAND_DATA"]
        else:
            os.environ["LOWLAND_DATA"] = before


def draw(finished: Run) -> list[Any]:
    """The pictures of a run, for its report; the same each time for the same weights."""
    with randomness.seeded(randomness.derive(finished.result["seed"], "figures")), torch.no_grad():
        return list(finished.system.figures(finished.model, finished.config, finished.data))
