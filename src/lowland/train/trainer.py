"""The loop: players take turns on batches, in stages, and every step of it can be stopped, continued and repeated.

A run is a sequence of stages. `Trainer.fit` is a loop over batches; `Trainer.once` is a stage that is no loop (a closed
form, Lloyd's iterations). A run that was stopped is continued by running the same code again on a trainer that resumes:
stages that had ended are skipped, and the one that was cut goes on from the step of the last checkpoint, to the last bit
the same on a CPU.

Lightning Fabric does devices, precision and processes; one process at full precision pays nothing for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, UsageError
from . import checkpoint, randomness
from .batches import batches
from .engine import engine, place, without_subnormals
from .log import MetricsLog, clock, progress
from .loop import Interrupted, Loop, total_steps
from .player import Player, Turn

#: Checkpoints that a run keeps.
KEPT = 2


class Trainer:
    """Trains players in stages, with checkpoints.

    Args:
        model: What a checkpoint holds the weights of; without one, the players' modules.
        seed: Begins every stream of random numbers; a run on a CPU repeats to the last bit.
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".
        devices: How many processes share each batch, on the CPU or on a GPU each.
        precision: As Fabric names it ("32-true", "bf16-mixed", …); the default is bf16-mixed on a GPU that has it.
        strategy: How several processes work together; the default is DDP, where each holds all of the model. With "fsdp"
            each keeps a piece of every trained parameter, of its gradient and of the optimiser's state, and has the
            parameters of a player whole only while its loss is computed, in validation and to save. A checkpoint is the
            same file in all cases, so a run may go on with another number of processes. An average is not in pieces.
        run: The run's folder, for checkpoints and ``metrics.jsonl``; without one nothing is written.
        resume: Continue from the folder's last checkpoint.
        identity: What a checkpoint must have been made by to be resumed (system, configuration).
        max_steps: No stage takes more steps than this.
        checkpoint_seconds: Time between checkpoints; one is also written at the end of each stage.
        shown: Whether progress bars are shown; by default on a terminal.

    Attributes:
        generator: A stream of random numbers of the run's own, on the CPU; it is in the checkpoint.
        seconds: How long it has trained, all parts of a resumed run together.

    Raises:
        CheckpointError: If there is no checkpoint to resume from, or it belongs to something else.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        devices: int = 1,
        precision: str | None = None,
        strategy: str = "auto",
        run: str | Path | None = None,
        resume: bool = False,
        identity: Mapping[str, Any] | None = None,
        max_steps: int | None = None,
        checkpoint_seconds: float = 60.0,
        shown: bool | None = None,
    ) -> None:
        self.fabric = engine(device, devices, precision, strategy)
        self.model = place(model, self.fabric) if model is not None else None
        self.seed, self.max_steps, self.shown = seed, max_steps, shown
        self.run = Path(run) if run is not None else None
        self.identity = dict(identity or {})
        self.checkpoint_seconds = checkpoint_seconds
        self.generator = torch.Generator().manual_seed(randomness.derive(seed, "trainer", self.fabric.global_rank))
        self.seconds = 0.0
        self._finished: dict[str, Any] = {}
        self._outside: dict[str, Any] = {}  # weights of players' modules that are not in the model, by stage
        self._names: set[str] = set()
        self._turns: list[Turn] = []
        self._current: dict[str, Any] | None = None  # where the checkpoint cut a stage
        self._stopped = False
        with randomness.seeded(randomness.derive(seed, "training", self.fabric.global_rank)):
            self._streams = randomness.capture()
        keep = self._resume() if resume else 0
        self._log = MetricsLog(self.run and self.run / "metrics.jsonl" if self._first else None, keep)

    # --- stages -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        stage: str,
        players: Player | Sequence[Player],
        data: Any,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int | None = 64,
        shuffle: bool = True,
        drop_last: bool = False,
        lengths: Tensor | None = None,
        transform: Callable[[Any, torch.Generator], Any] | None = None,
        validate: Callable[[], Mapping[str, float]] | None = None,
        validate_every: int = 1,
        keep: str | None = None,
    ) -> dict[str, float]:
        """A stage of steps on batches.

        Args:
            stage: Its name, of its own in the run.
            players: Who moves, in this order.
            data: A tensor, a tuple or dict of tensors, a Dataset or a DataLoader.
            epochs: Times through the data; either this or ``steps``.
            steps: Number of batches.
            batch_size: Samples a step, all processes together; ``None`` for all the data at once.
            shuffle: Whether each epoch has an order of its own.
            drop_last: Whether a last batch that is short is left out.
            lengths: ``(N,)``, how long each sample is: a batch then holds samples that are about equally long, so that little of it
                is padding, and batches come in random order.
            transform: ``transform(batch, generator)`` → the batch the losses see (augmentation); what it draws from
                the generator repeats with the run.
            validate: Figures on data that nothing is trained on; called without gradients, modules in evaluation mode.
            validate_every: Epochs between two calls.
            keep: The figure of ``validate`` whose lowest value marks the weights to end with.

        Returns:
            The last figures of ``validate`` (those of the weights kept) and the mean loss of the last steps.

        Raises:
            DivergenceError: If a loss, the data or a weight is not finite.
            UsageError: For arguments that don't fit together.
        """
        self._open(stage)
        players = [players] if isinstance(players, Player) else list(players)
        if (epochs is None) == (steps is None):
            raise UsageError(f"fit({stage!r}): wanted either epochs or steps, got epochs={epochs} and steps={steps}.")
        if keep is not None and validate is None:
            raise UsageError(f"fit({stage!r}): keep={keep!r} needs a `validate` that gives that figure.")
        if stage in self._finished:
            self._bring_back(stage, players)
            return self._finished[stage]
        source = batches(
            data,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=randomness.derive(self.seed, stage),
            device=self.fabric.device,
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
            lengths=lengths,
        )
        total = total_steps(stage, epochs, steps, source, self.max_steps)
        loop = Loop(self, stage, players, source, total, transform, validate, validate_every, keep)
        self._turns = loop.turns
        with self._own_streams(), self._heedful(), without_subnormals():
            result = loop.go(self._current)
            self._close(stage, result, loop.turns)
        return result

    def once(self, stage: str, function: Callable[[], Any]) -> Any:
        """A stage that is no loop: runs the function once, and not again when the run is continued.

        Returns:
            What the function returned: tensors, numbers, texts and nestings of them, which the checkpoint keeps.
        """
        self._open(stage)
        if stage not in self._finished:
            with self._own_streams():
                started = clock()
                result = function()
                self.seconds += clock() - started
                self._close(stage, result, [])
        return self._finished[stage]

    def average(self, module: nn.Module) -> nn.Module:
        """The running average of a module of the present stage, whose player has ``average=``.

        Raises:
            UsageError: If no player averages it.
        """
        for turn in self._turns:
            averages = turn.averaged.module.children() if turn.averaged is not None else ()
            for ours, averaged in zip(turn.modules, averages, strict=False):
                if ours is module:
                    return averaged
        raise UsageError(
            f"average: no player of this stage averages this {type(module).__name__}; give its Player average=0.999."
        )

    def log(self, **figures: float) -> None:
        """A line in ``metrics.jsonl``."""
        self._log.write({"stage": next(reversed(self._finished), ""), **figures})

    def close(self) -> None:
        """Part from the other processes, when all have come this far; with one process there is nothing to do."""
        if self.fabric.world_size > 1:
            self.fabric.barrier()
            torch.distributed.destroy_process_group()

    def progress(self, items: Iterable[Any], title: str) -> Iterable[Any]:
        """The items, with a bar on stderr while they are gone through."""
        return progress(items, title, self.shown if self._first else False)

    # --- checkpoints ------------------------------------------------------------------------------------------------

    @property
    def _first(self) -> bool:
        return self.fabric.global_rank == 0

    @property
    def checkpoints(self) -> Path | None:
        """Where checkpoints lie."""
        return self.run / "checkpoints" if self.run is not None else None

    def _save(self, current: dict[str, Any] | None, turns: Sequence[Turn]) -> None:
        if self.checkpoints is None:
            return
        streams = {"global": randomness.capture(), "generator": self.generator.get_state()}
        memory = {
            f"{turn.player.name}/{name}": held.state_dict()
            for turn in turns
            for name, held in turn.player.memory.items()
        }
        ranks = self._gather(
            {"streams": streams, "memory": memory, "transform": (current or {}).pop("transform", None)}
        )
        if self._first:
            state = {
                "identity": self.identity,
                "processes": self.fabric.world_size,
                "model": self.model.state_dict() if self.model is not None else None,
                "finished": self._finished,
                "outside": self._outside,
                "present": [self._weights_outside(turn) for turn in turns],
                "ranks": ranks,
                "current": current,
                "metrics_bytes": self._log.bytes,
                "seconds": self.seconds,
            }
            number = len(self._finished) * 10**10 + (current["step"] if current else 0)
            checkpoint.write(self.checkpoints / f"{number:014d}{checkpoint.SUFFIX}", state)
            for old in sorted(self.checkpoints.glob(f"[!.]*{checkpoint.SUFFIX}"))[:-KEPT]:
                old.unlink()
        self.fabric.barrier()

    def _resume(self) -> int:
        folder = self.checkpoints
        path = checkpoint.newest(folder) if folder is not None else None
        if path is None or folder is None:
            raise CheckpointError(
                f"{folder or 'Trainer'}: there is no checkpoint to resume from; train without --resume."
            )
        try:
            state = checkpoint.read(path)
        except CheckpointError as error:
            earlier = sorted(folder.glob(f"[!.]*{checkpoint.SUFFIX}"))[:-1]
            advice = f" Remove it to continue from {earlier[-1].name}." if earlier else " Train again without --resume."
            raise CheckpointError(f"{error}{advice}") from error
        for name in sorted(self.identity.keys() | state["identity"].keys()):
            ours, theirs = self.identity.get(name), state["identity"].get(name)
            if ours != theirs:
                raise CheckpointError(f"{path}: made with {name}={theirs!r}, resumed with {ours!r}; wanted the same.")
        other_number = state["processes"] != self.fabric.world_size
        if other_number and any(process["memory"] for process in state["ranks"]):
            raise CheckpointError(
                f"{path}: made by {state['processes']} processes, each with memory of its own (chains, replay), and resumed by "
                f"{self.fabric.world_size}; give --devices {state['processes']}."
            )
        if self.model is not None:
            checkpoint.load_into(self.model, state["model"], str(path))
        mine: dict[str, Any] = {"memory": {}, "transform": None}
        if self.fabric.global_rank < len(state["ranks"]):  # a process that is new begins random streams of its own
            mine = state["ranks"][self.fabric.global_rank]
            self._streams = mine["streams"]["global"]
            self.generator.set_state(mine["streams"]["generator"])
        self._finished, self._outside, self.seconds = state["finished"], state["outside"], state["seconds"]
        if state["current"] is not None:
            self._current = {
                **state["current"],
                "present": state["present"],
                "memory": mine["memory"],
                "transform": mine["transform"],
            }
        return state["metrics_bytes"]

    def _gather(self, own: Any) -> list[Any]:
        if self.fabric.world_size == 1:
            return [own]
        gathered: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(gathered, own)
        return gathered

    def _weights_outside(self, turn: Turn) -> list[dict[str, Any] | None]:
        """The weights of a player's modules, where the model doesn't hold them all."""
        inside = {id(t) for t in self.model.state_dict(keep_vars=True).values()} if self.model is not None else set()
        return [
            None if inside.issuperset(map(id, module.state_dict(keep_vars=True).values())) else module.state_dict()
            for module in turn.modules
        ]

    def _bring_back(self, stage: str, players: Sequence[Player]) -> None:
        for player, weights in zip(players, self._outside.get(stage, []), strict=False):
            modules = [player.modules] if isinstance(player.modules, nn.Module) else player.modules
            for module, state in zip(modules, weights, strict=True):
                if state is not None:
                    checkpoint.load_into(place(module, self.fabric), state, f"Stage {stage!r} of {self.run}")

    # --- the frame of a stage -------------------------------------------------------------------------------------------

    def _open(self, stage: str) -> None:
        if stage in self._names:
            raise UsageError(f"Two stages of this run are called {stage!r}; give each a name of its own.")
        self._names.add(stage)
        cut = self._current and self._current["stage"]
        if cut is not None and stage != cut and stage not in self._finished:
            raise CheckpointError(
                f"{self.run}: stopped in stage {cut!r}, but the code now comes to {stage!r} first; train again."
            )

    def _close(self, stage: str, result: Any, turns: Sequence[Turn]) -> None:
        self._finished[stage] = result
        self._outside[stage] = [self._weights_outside(turn) for turn in turns]
        self._current = None
        self._save(None, [])

    @contextmanager
    def _own_streams(self) -> Iterator[None]:
        """Inside, the global random streams are the run's; afterwards the caller's are where they were."""
        callers = randomness.capture()
        randomness.restore(self._streams)
        try:
            yield
        finally:
            self._streams = randomness.capture()
            randomness.restore(callers)

    @contextmanager
    def _heedful(self) -> Iterator[None]:
        """Inside, Ctrl-C and a termination signal stop the loop after its step; a second Ctrl-C stops it anywhere."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: Any) -> None:
            if self._stopped:
                raise KeyboardInterrupt
            self._stopped = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._stopped:  # asked for when no step was left
            raise Interrupted(
                f"Stopped between stages. Continue with: lowland train --resume {self.run}" if self.run else "Stopped."
            )
