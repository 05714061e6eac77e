"""The one-liner: shape an energy by an objective on some data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from .player import Player
from .trainer import Trainer

Module = TypeVar("Module", bound=nn.Module)


def fit(
    energy: Module,
    data: Any,
    objective: Callable[[Module, Any], Any],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    rate: float = 1e-3,
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] | None = None,
    batch_size: int | None = 64,
    seed: int = 0,
    device: str = "auto",
    shown: bool | None = None,
    **options: Any,
) -> Module:
    """Train one energy and give it back.

    >>> energy = lowland.fit(energy, {"x": images, "y": labels}, NegativeLogLikelihood("y"), epochs=10)

    Args:
        energy: Changed in place.
        data: A tensor, a tuple or dict of tensors, a Dataset or a DataLoader.
        objective: ``objective(energy, batch)`` → a loss.
        epochs: Times through the data (10 if neither this nor ``steps`` is given).
        steps: Number of batches.
        rate: Step size of AdamW, in units of the parameters.
        optimizer: ``optimizer(parameters)`` → another optimiser; ``rate`` then counts for nothing.
        batch_size: Samples a step; ``None`` for all at once.
        seed: Begins every stream of random numbers.
        device: "auto", "cpu", "cuda" or "cuda:1".
        shown: Whether a progress bar is shown; by default on a terminal.
        **options: For `Trainer.fit`: ``validate``, ``transform``, ``keep``, …
    """
    if epochs is None and steps is None:
        epochs = 10
    player = Player(
        "energy",
        energy,
        lambda batch: objective(energy, batch),
        optimizer or (lambda parameters: torch.optim.AdamW(parameters, lr=rate)),
    )
    trainer = Trainer(energy, seed=seed, device=device, shown=shown)
    trainer.fit("fit", player, data, epochs=epochs, steps=steps, batch_size=batch_size, **options)
    return energy
