"""The share of wrong answers, mean [ argmin_ȳ E(x, ȳ) ≠ y ]: what the objectives over tables stand in for.

It has no slope to follow, so it judges and does not train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from .objective import observed


@torch.no_grad()
def error_rate(energy: Energy, batch: Mapping[str, Any], name: str = "y", rows: int = 1000) -> float:
    """Wrong answers as a fraction of all.

    Args:
        energy: The energy; everything but ``name`` is given by the batch.
        batch: ``{variable: (N, *event)}``, with the right answers.
        name: The finite variable that is predicted.
        rows: Samples looked at together, to bound the memory.

    Raises:
        VariableError: If the batch lacks a variable of the energy.
        SpaceError: If a right answer lies outside the variable's space.
    """
    values = observed(energy, batch)
    right = values.pop(name)
    wrong = 0
    for start in range(0, len(right), rows):
        some = slice(start, start + rows)
        table = energy.table(name, **{other: value[some] for other, value in values.items()})
        wrong += int((table.argmin(-1) != right[some]).sum())
    return wrong / max(len(right), 1)


def rejection_curve(right: Tensor, certainty: Tensor) -> tuple[Tensor, Tensor]:
    """What is gained and lost as more answers are accepted, the surest first: the shares of all that are right and wrong.

    Args:
        right: ``(N,)`` bool: whether each answer is right.
        certainty: ``(N,)``: how sure it is, in any units.

    Returns:
        ``(N + 1,)`` each, from none accepted to all; what is neither right nor wrong is rejected.
    """
    sorted_ = right[certainty.argsort(descending=True, stable=True)].to(certainty.dtype)
    counts = torch.stack([sorted_, 1 - sorted_]).cumsum(1) / max(len(right), 1)
    correct, wrong = torch.nn.functional.pad(counts, (1, 0))
    return correct, wrong
