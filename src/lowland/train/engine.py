"""Where training runs: device, precision and processes, by Lightning Fabric."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from torch import nn

from ..errors import UsageError


def engine(device: str = "auto", devices: int = 1, precision: str | None = None, strategy: str = "auto") -> Fabric:
    """A Fabric that has been launched.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".
        devices: Number of processes. Beyond one, the command is started again for each, and they meet in DDP or FSDP
            (gloo on the CPU).
        precision: As Fabric names it; ``None`` is bf16-mixed on a GPU that has it and 32-true elsewhere.
        strategy: "fsdp" lays the trained parameters, their gradients and the optimiser's state in pieces on the processes;
            else a DDP strategy as Fabric names it, "ddp_find_unused_parameters_true" where some steps leave parameters
            out of the loss.

    Raises:
        UsageError: If the device, the number, the precision or the strategy is not one there is.
    """
    try:
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    except RuntimeError as error:
        raise UsageError(f"--device: wanted auto, cpu, cuda or cuda:N, got {device!r}.") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu."
        )
    if strategy not in ("auto", "fsdp") and not strategy.startswith("ddp"):
        raise UsageError(f"--strategy: wanted auto, fsdp or a DDP strategy of Fabric's, got {strategy!r}.")
    if devices < 1:
        raise UsageError(f"--devices: wanted at least 1, got {devices}.")
    if precision is None:
        precision = "bf16-mixed" if chosen.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
    processes: Any = "ddp" if strategy == "auto" and devices > 1 else strategy
    if strategy == "fsdp" and devices == 1:
        processes = "auto"  # nobody to share with
    elif strategy == "fsdp":
        if precision not in ("32-true", "bf16-mixed"):
            raise UsageError(f"--strategy fsdp: wanted --precision 32-true or bf16-mixed, got {precision}.")
        from .sharded import shard

        processes = ModelParallelStrategy(shard, data_parallel_size=devices, tensor_parallel_size=1)
    where: Any = [chosen.index] if chosen.index is not None and devices == 1 else devices
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            fabric = Fabric(accelerator=chosen.type, devices=where, precision=precision, strategy=processes)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"Fabric refuses device {device!r}, precision {precision!r}, strategy {strategy!r}: {error}"
        ) from error
    if devices > 1 and not fabric._launched:
        fabric.launch()
    return fabric


def sharding(fabric: Fabric) -> bool:
    """Whether its processes hold pieces of what is trained."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def place(module: nn.Module, fabric: Fabric) -> nn.Module:
    """The module on the device of this process; Fabric itself leaves that to whoever lays it in pieces."""
    return fabric.to_device(module).to(fabric.device)


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Inside, numbers of this thread that are too small for all their digits (below 1e-38) are 0: processors take up to thirty
    times as long over them, and slopes and the far sides of bells are full of them."""
    already = float(torch.tensor([1e-30]) * 1e-10) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(already)
