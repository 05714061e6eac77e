"""A loss whose parameters lie in pieces: a process keeps its part of each, and has all of it while the loss is computed.

Torch's `fully_shard` gathers the parameters, and sums and parts their gradients. What it parts are stand-ins in a list of ours,
so that the modules stay what they were, without hooks and with the parameters they had. Those are empty in between,
and full inside `whole`. The state of an optimiser is in pieces as its parameters are, and whole in a checkpoint, where
it looks as one process would have written it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.func import functional_call
from torch.optim import Optimizer

from ..errors import UsageError


def shard(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Lay a module's parameters in pieces on the processes; how Fabric's `ModelParallelStrategy` is to do it."""
    fully_shard(module, mesh=mesh["data_parallel"])
    return module


class Sharded(nn.Module):
    """The loss of a player with stand-ins for its parameters; to be set up by Fabric, and then `begin` is called.

    Args:
        loss: A module that owns the parameters, and whose forward is the loss.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        named = {name: parameter for name, parameter in loss.named_parameters() if parameter.requires_grad}
        for name, parameter in named.items():
            if parameter.numel() == 0:
                raise UsageError(
                    f"--strategy fsdp: {name.split('.', 2)[-1]} is empty: another player of this stage has laid it in pieces, and "
                    "only one may change it; use --strategy ddp."
                )
        self.names, self.originals = list(named), list(named.values())
        self.shapes = [parameter.shape for parameter in self.originals]
        self._loss = functools.partial(functional_call, loss)  # no child: its parameters are to stay where they are
        self._counted = list(loss.buffers())
        for tensor in (*self.originals, *self._counted):
            torch.distributed.broadcast(tensor.data, 0)
        # a number alone can't be parted: it goes as a list of one
        self.pieces = nn.ParameterList(
            nn.Parameter(p.detach().contiguous().view(p.shape or (1,))) for p in self.originals
        )
        self.shards: list[Any] = []
        self._depth = 0

    def begin(self) -> list[nn.Parameter]:
        """Let go of the whole parameters; what an optimiser is to change instead."""
        self.shards = list(self.pieces)
        self._let_go()
        return self.shards

    def forward(self, batch: Any) -> Any:
        whole = [piece.view(shape) for piece, shape in zip(self.pieces, self.shapes, strict=True)]
        before = [tensor._version for tensor in whole]
        loss = self._loss(dict(zip(self.names, whole, strict=True)), (batch,))
        for name, tensor, version in zip(self.names, whole, before, strict=True):
            if tensor._version != version:
                raise UsageError(
                    f"--strategy fsdp: the loss changes {name.split('.', 2)[-1]} in place, which is lost when the parameter is laid "
                    "in pieces again; use --strategy ddp."
                )
        return loss

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, the modules hold all of every parameter; what is changed there stays. All processes must come here."""
        self._depth += 1
        if self._depth == 1:
            self.end()
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                for original, shard in zip(self.originals, self.shards, strict=True):
                    shard.data.to_local().copy_(_parted(original.data, shard).to_local())
                self._let_go()

    @torch.no_grad()
    def end(self) -> None:
        """The modules hold all of every parameter from now on."""
        for original, shard, shape in zip(self.originals, self.shards, self.shapes, strict=True):
            original.data = shard.full_tensor().view(shape)
        for buffer in self._counted:  # each process has moved its own, those of normalisation say
            torch.distributed.broadcast(buffer, 0)

    def _let_go(self) -> None:
        for original in self.originals:
            original.data, original.grad = original.new_empty(0), None

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The optimiser's `state_dict`, whole."""

        def whole(name: str, value: Any, shard: DTensor, shape: torch.Size) -> Any:
            return value.full_tensor().view(shape) if isinstance(value, DTensor) else value

        return self._each(optimizer, optimizer.state_dict(), whole)

    def load_optimizer_state(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Put back what `optimizer_state` gave, or the `state_dict` of an optimiser of whole parameters."""

        def parted(name: str, value: Any, shard: DTensor, shape: torch.Size) -> Any:
            like = isinstance(value, Tensor) and value.shape == shape and name != "step"  # a count, in every optimiser
            return _parted(value.to(shard.device), shard) if like else value

        optimizer.load_state_dict(self._each(optimizer, state, parted))

    def _each(self, optimizer: Optimizer, state: dict[str, Any], change: Callable[..., Any]) -> dict[str, Any]:
        """The state with ``change(name, value, shard, shape)`` of every value that belongs to a parameter."""
        shapes = dict(zip(map(id, self.shards), self.shapes, strict=True))
        ordered = [shard for group in optimizer.param_groups for shard in group["params"]]
        values = {
            index: {
                name: change(name, value, ordered[index], shapes[id(ordered[index])]) for name, value in held.items()
            }
            for index, held in state["state"].items()
        }
        return {**state, "state": values}


def _parted(whole: Tensor, like: DTensor) -> DTensor:
    return distribute_tensor(whole.reshape(like.shape), like.device_mesh, like.placements, src_data_rank=None)
