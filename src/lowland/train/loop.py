"""One stage of steps on batches, while it runs: turns, looks at the losses, validation, saving and stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import CheckpointError, DivergenceError, UsageError
from . import checkpoint, randomness
from .batches import Batches
from .engine import sharding
from .log import Bar, Record, Window, clock
from .player import Player, Turn

if TYPE_CHECKING:
    from .trainer import Trainer

#: Steps between two lines of the log, and two looks at whether losses are finite.
LOG_STEPS = 50


class Interrupted(KeyboardInterrupt):
    """Training was stopped by the user; the message says how to continue."""


class Loop:
    """One stage of `Trainer.fit` while it runs: see there for what the arguments mean."""

    def __init__(
        self,
        trainer: Trainer,
        stage: str,
        players: Sequence[Player],
        source: Batches,
        total: int,
        transform: Callable[[Any, torch.Generator], Any] | None,
        validate: Callable[[], Mapping[str, float]] | None,
        validate_every: int,
        keep: str | None,
    ) -> None:
        self.trainer, self.fabric = trainer, trainer.fabric
        self.stage, self.source, self.total = stage, source, total
        self.transform, self.validate, self.validate_every, self.keep = transform, validate, validate_every, keep
        self.turns = [Turn(player, self.fabric, total) for player in players]
        seed = randomness.derive(trainer.seed, stage, "transform", self.fabric.global_rank)
        self.generator = torch.Generator().manual_seed(seed)
        self.step, self.epoch, self.position = 0, 0, 0
        self.figures: dict[str, float] = {}
        self.best: dict[str, Any] | None = None
        self.window = Window(stage, self._mean_over_processes, source.look)
        self._alone = self.fabric.world_size == 1

    def go(self, cut: dict[str, Any] | None) -> dict[str, float]:
        modules = [module for turn in self.turns for module in turn.modules]
        for module in modules:
            module.train()
        iterator = self._load(cut) if cut is not None else None
        trainer = self.trainer
        self.bar = Bar(self.total, self.stage, trainer.shown if trainer._first else False, self.step)
        self._saved = self._counted = clock()
        try:
            while self.step < self.total:
                self._through(iterator or self.source.epoch(self.epoch, self.position))
                iterator = None
            self.window.check()
            figures = {**self.figures, **self.window.means()}
        except DivergenceError as error:
            raise DivergenceError(f"{error} {self._how_to_continue()}".strip()) from None
        finally:
            self._count_seconds()
            self.bar.close()
        for turn in self.turns:
            turn.finish()
        if self.best is not None:
            for module, state in zip(modules, self.best["weights"], strict=True):
                module.load_state_dict(state)
            figures |= self.best["figures"]
        for module in modules:
            module.eval()
        return figures

    def _through(self, iterator: Iterator[Any]) -> None:
        """The rest of an epoch, or of the stage."""
        turns, several = self.turns, len(self.turns) > 1
        games_in_pieces = several and sharding(self.fabric)  # a loss may ask the modules of the other players
        epoch_done = True
        for batch in iterator:
            value = batch.value if self.transform is None else self.transform(batch.value, self.generator)
            terms: dict[str, Tensor | float] = {}
            for turn in turns:
                if self.step % turn.player.every == 0:
                    with whole(other for other in turns if other is not turn) if games_in_pieces else nullcontext():
                        loss, parts = turn.take(value, batch.share)
                    start = f"{turn.player.name}/" if several else ""
                    for name, part in (("loss", loss), *parts.items()):
                        weighed = part if batch.share == 1.0 else part * batch.share
                        terms[start + name] = weighed.detach() if isinstance(weighed, Tensor) else weighed
            self.step += 1
            self.position += 1
            self.window.add(Record(self.step, batch.indices, terms))
            now = clock()
            self.bar.at(self.step, now)
            if self.step % LOG_STEPS == 0:
                self.window.check()
                self._log({**self.window.means(), "rate": turns[0].rate})
            if self._alone or self.step % LOG_STEPS == 0:
                self._heed(now)
            if self.step >= self.total:
                epoch_done = self.position == known_length(self.source)
                break
        if epoch_done:
            self.epoch, self.position = self.epoch + 1, 0
        if self.validate is not None and (
            self.step >= self.total or (epoch_done and self.epoch % self.validate_every == 0)
        ):
            self._validate()

    def _validate(self) -> None:
        assert self.validate is not None
        self.window.check()
        with ExitStack() as stack, torch.no_grad():
            modules = [module for turn in self.turns for module in turn.modules]
            for turn in self.turns:
                stack.enter_context(turn.averages())
            for module in modules:
                module.eval()
            self.figures = {name: float(value) for name, value in self.validate().items()}
            if self.keep is not None:
                if self.keep not in self.figures:
                    raise UsageError(
                        f"fit({self.stage!r}): keep={self.keep!r} is not among what validate gave: {', '.join(self.figures)}."
                    )
                if self.best is None or self.figures[self.keep] < self.best["figures"][self.keep]:
                    weights = [{name: held.clone() for name, held in module.state_dict().items()} for module in modules]
                    self.best = {"figures": self.figures, "weights": weights}
            for module in modules:
                module.train()
        self._log(self.figures)

    def _log(self, figures: Mapping[str, Any]) -> None:
        self.trainer._log.write({"stage": self.stage, "step": self.step, "epoch": self.epoch, **figures})
        self.bar.note(figures)

    def _heed(self, now: float) -> None:
        """Save when it is time, stop when asked to; all processes decide alike."""
        trainer = self.trainer
        due = trainer.checkpoints is not None and now - self._saved >= trainer.checkpoint_seconds
        stopped = trainer._stopped
        if not self._alone:
            wishes: Any = self.fabric.all_reduce(
                torch.tensor([due, stopped], dtype=torch.float32, device=self.fabric.device), reduce_op="sum"
            )
            due, stopped = (bool(wish) for wish in wishes.tolist())
        if due or stopped:
            self._save()
        if stopped:
            raise Interrupted(
                f"Stopped in stage {self.stage!r} after step {self.step}. {self._how_to_continue()}".strip()
            )

    def _save(self) -> None:
        if self.trainer.checkpoints is None:
            return
        self.window.check()
        with whole(self.turns):
            self._save_whole()
        self._saved = clock()

    def _save_whole(self) -> None:
        for turn in self.turns:
            for name, parameter in turn.modules.named_parameters():
                if not bool(torch.isfinite(parameter).all()):
                    raise DivergenceError(
                        f"Stage {self.stage!r}, step {self.step}: weight {name.partition('.')[2]} of player {turn.player.name!r} is not "
                        "finite though the loss was: try a smaller rate, or clip the gradient."
                    )
        self._count_seconds()
        self.trainer._save(
            {
                "stage": self.stage,
                "step": self.step,
                "epoch": self.epoch,
                "position": self.position,
                "total": self.total,
                "players": {turn.player.name: turn.state_dict() for turn in self.turns},
                "loader": self.source.state_dict(),
                "transform": self.generator.get_state(),
                "window": self.window.state_dict(),
                "figures": self.figures,
                "best": self.best,
                "training": [module.training for turn in self.turns for module in turn.modules],
            },
            self.turns,
        )

    def _load(self, cut: dict[str, Any]) -> Iterator[Any]:
        """Go back to where a checkpoint was made; what the epoch still holds."""
        if cut["players"].keys() != {turn.player.name for turn in self.turns} or cut["total"] != self.total:
            raise CheckpointError(
                f"{self.trainer.run}: stage {self.stage!r} had players {', '.join(cut['players'])} and {cut['total']} steps, now "
                f"{', '.join(t.player.name for t in self.turns)} and {self.total}; wanted the same."
            )
        for turn, weights in zip(self.turns, cut["present"], strict=True):
            with turn.whole():
                for module, state in zip(turn.modules, weights, strict=True):
                    if state is not None:
                        checkpoint.load_into(module, state, f"{self.trainer.run}")
            turn.load_state_dict(cut["players"][turn.player.name])
            for name, held in turn.player.memory.items():
                held.load_state_dict(cut["memory"][f"{turn.player.name}/{name}"])
        self.step, self.epoch, self.position = cut["step"], cut["epoch"], cut["position"]
        self.window.load_state_dict(cut["window"])
        self.figures, self.best = cut["figures"], cut["best"]
        if cut["transform"] is not None:
            self.generator.set_state(cut["transform"])
        if self.position:
            self.source.load_state_dict(cut["loader"])
        iterator = self.source.epoch(self.epoch, self.position)
        randomness.restore(self.trainer._streams)  # after the loader, which draws a number when it begins
        return iterator

    def _mean_over_processes(self, table: Tensor) -> Tensor:
        return table if self._alone else self.fabric.all_reduce(table.to(self.fabric.device), reduce_op="mean")  # type: ignore[return-value]

    def _count_seconds(self) -> None:
        now = clock()
        self.trainer.seconds += now - self._counted
        self._counted = now

    def _how_to_continue(self) -> str:
        folder = self.trainer.checkpoints
        if folder is None or checkpoint.newest(folder) is None:
            return ""
        return f"Continue with: lowland train --resume {self.trainer.run}"


@contextmanager
def whole(turns: Iterable[Turn]) -> Iterator[None]:
    """Inside, the modules of these players hold all of every parameter."""
    with ExitStack() as stack:
        for turn in turns:
            stack.enter_context(turn.whole())
        yield


def total_steps(stage: str, epochs: int | None, steps: int | None, source: Batches, limit: int | None) -> int:
    if steps is None:
        length = known_length(source)
        if length is None or epochs is None:
            raise UsageError(f"fit({stage!r}): this data has no length, so epochs can't be counted; give steps.")
        steps = epochs * length
    if steps < 0:
        raise UsageError(f"fit({stage!r}): wanted epochs or steps ≥ 0, got {epochs if epochs is not None else steps}.")
    return min(steps, limit if limit is not None else math.inf)  # type: ignore[return-value]


def known_length(source: Batches) -> int | None:
    try:
        return len(source)
    except TypeError:
        return None
