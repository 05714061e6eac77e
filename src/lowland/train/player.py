"""Who learns: one player with its modules, its loss and its optimiser; several when the system is a game."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import UsageError
from .engine import place, sharding


@dataclass(frozen=True)
class Player:
    """One player: what it may change, what it wants low, and how it goes downhill.

    Attributes:
        name: As the log calls it.
        modules: What it may change: every parameter that requires a gradient.
        loss: ``loss(batch)`` → a scalar tensor, or anything with ``value`` (that scalar) and ``parts`` (named scalars
            for the log). With several processes its gradient is averaged over samples, so it must be a mean.
        optimizer: ``optimizer(parameters)`` → a torch optimiser.
        schedule: ``schedule(optimizer, steps)`` → a torch scheduler, stepped once each time the player moves; ``steps``
            is how many times it will.
        every: It moves at each step whose number is a multiple of this.
        clip: Largest norm of its gradient, in units of loss per unit of parameter; ``None`` for no limit.
        average: Decay in [0, 1) of a running average of the weights (Polyak). Validation sees the average, and when the
            stage ends it is what the modules hold. After n steps the decay is no more than (1 + n) / (4 + n), so that a
            short training is not left with the weights it began with: it averages about its last third (Shamir & Zhang,
            ICML 2013, polynomial-decay averaging with η = 2).
        memory: Objects with ``state_dict`` and ``load_state_dict`` that the loss changes (replay buffers, chains): they
            are in the checkpoint.
    """

    name: str
    modules: nn.Module | Sequence[nn.Module]
    loss: Callable[[Any], Any]
    optimizer: Callable[[list[nn.Parameter]], Optimizer]
    schedule: Callable[[Optimizer, int], Any] | None = None
    every: int = 1
    clip: float | None = None
    average: float | None = None
    memory: Mapping[str, Any] = field(default_factory=dict)


class _Loss(nn.Module):
    """The loss as a module that owns what it changes, so that Fabric can wrap it (precision, several processes)."""

    def __init__(self, modules: nn.ModuleList, loss: Callable[[Any], Any]) -> None:
        super().__init__()
        self.owned = modules
        self.loss = loss

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        return split(self.loss(batch))


def split(loss: Any) -> tuple[Tensor, dict[str, Any]]:
    """The scalar of a loss and its named parts."""
    return (loss, {}) if isinstance(loss, Tensor) else (loss.value, dict(loss.parts))


class Turn:
    """A player at the table: its optimiser, schedule and average, and how it makes one step.

    Args:
        player: Who.
        fabric: Devices, precision, processes.
        steps: How many steps the stage has.

    Raises:
        UsageError: If the player has nothing to change.
    """

    def __init__(self, player: Player, fabric: Fabric, steps: int) -> None:
        self.player, self.fabric = player, fabric
        self.modules = nn.ModuleList([player.modules] if isinstance(player.modules, nn.Module) else player.modules)
        place(self.modules, fabric)
        self.parameters = [p for p in self.modules.parameters() if p.requires_grad]
        if not self.parameters:
            raise UsageError(
                f"Player {player.name!r} has no parameter that requires a gradient; give it modules that have."
            )
        self.averaged: AveragedModel | None = None
        if player.average is not None:
            self.averaged = AveragedModel(self.modules, multi_avg_fn=_running(player.average))
        self._sharded: Any = None
        if sharding(fabric):
            from .sharded import Sharded  # half a second of torch.distributed

            self._sharded = Sharded(_Loss(self.modules, player.loss))
            self._wrapped = fabric.setup_module(self._sharded)
            self.parameters = self._sharded.begin()
        self.optimizer = player.optimizer(self.parameters)
        self.schedule = player.schedule(self.optimizer, -(-steps // player.every)) if player.schedule else None
        # one process at full precision needs nothing of Fabric, and small models feel every wrapper
        self.plain = fabric.world_size == 1 and fabric._precision.precision in ("32-true", "64-true")
        if self._sharded is not None:
            self._wrapped_optimizer: Any = fabric.setup_optimizers(self.optimizer)
        elif not self.plain:
            self._wrapped, self._wrapped_optimizer = fabric.setup(_Loss(self.modules, player.loss), self.optimizer)
        else:
            _fuse(self.optimizer)

    def take(self, batch: Any, share: float) -> tuple[Tensor, dict[str, Any]]:
        """One step downhill: the loss before it, and its parts.

        Args:
            batch: What the loss takes.
            share: This process's part of the batch × number of processes.
        """
        for parameter in self.parameters:  # `zero_grad` begins a record for torch's profiler first
            parameter.grad = None
        if self.plain:
            value, parts = split(self.player.loss(batch))
            value.backward()
            if self.player.clip is not None:
                nn.utils.clip_grad_norm_(self.parameters, self.player.clip)
            self.optimizer.step()
        else:
            value, parts = self._wrapped(batch)
            self.fabric.backward(value * share)
            if self.player.clip is not None:
                self.fabric.clip_gradients(
                    self._wrapped, self._wrapped_optimizer, max_norm=self.player.clip, error_if_nonfinite=False
                )
            self._wrapped_optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.averaged:
            with self.whole():
                self.averaged.update_parameters(self.modules)
        return value.detach(), parts

    @property
    def rate(self) -> float:
        """The optimiser's step size now, of its first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def whole(self) -> AbstractContextManager[None]:
        """Inside, the modules hold all of every parameter, also where each process keeps but a piece of it."""
        return nullcontext() if self._sharded is None else self._sharded.whole()

    @contextmanager
    def averages(self) -> Iterator[None]:
        """Inside, the modules hold their averages."""
        with self.whole():
            self._swap()
            try:
                yield
            finally:
                self._swap()

    def finish(self) -> None:
        """The modules hold all of every parameter again; of the average, where there is one."""
        if self._sharded is not None:
            self._sharded.end()
        self._swap()

    def _swap(self) -> None:
        if self.averaged and self.averaged.n_averaged > 0:
            for ours, theirs in zip(_held(self.modules), _held(self.averaged.module), strict=True):
                ours.data, theirs.data = theirs.data, ours.data

    def state_dict(self) -> dict[str, Any]:
        sharded, optimizer = self._sharded, self.optimizer
        return {
            "optimizer": optimizer.state_dict() if sharded is None else sharded.optimizer_state(optimizer),
            "schedule": _plain_values(self.schedule.state_dict()) if self.schedule else None,
            "averaged": self.averaged.state_dict() if self.averaged else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        saved = state["optimizer"]
        groups = [  # whether one kernel takes the step is a matter of where it runs now
            {**theirs, "fused": ours["fused"]} if "fused" in ours else theirs
            for ours, theirs in zip(self.optimizer.param_groups, saved["param_groups"], strict=True)
        ]
        saved = {**saved, "param_groups": groups}
        if self._sharded is None:
            self.optimizer.load_state_dict(saved)
        else:
            self._sharded.load_optimizer_state(self.optimizer, saved)
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])


def _fuse(optimizer: Optimizer) -> None:
    """Let it take its step in one kernel on a CPU, where torch has one and the player has not chosen: small models feel every call."""
    for group in optimizer.param_groups:
        known = "fused" in group and group["fused"] is None
        undecided = known and group.get("foreach") is None and not group.get("differentiable")
        if undecided and all(p.is_floating_point() and p.device.type == "cpu" for p in group["params"]):
            group["fused"] = True


def _running(decay: float) -> Callable[[Any, Any, Any], None]:
    """How an average moves: towards the weights by 1 − decay, and further while it is young."""

    def move(averages: Any, weights: Any, steps: Any) -> None:
        young = (1 + float(steps)) / (4 + float(steps))
        get_ema_multi_avg_fn(min(decay, young))(averages, weights, steps)

    return move


def _held(module: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(module.parameters(), module.buffers())


def _plain_values(state: dict[str, Any]) -> dict[str, Any]:
    """Without functions: a scheduler that is made anew brings its own."""
    return {name: value for name, value in state.items() if not callable(value)}
