"""The share of wrong answers, mean [ argmin_ȳ E(x, ȳ) ≠ y ]: what the objectives over tables stand in for.

It has no slope to follow, so it judges and does not train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

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
    """
    values = observed(energy, batch)
    right = values.pop(name)
    wrong = 0
    for start in range(0, len(right), rows):
        some = slice(start, start + rows)
        table = energy.table(name, **{other: value[some] for other, value in values.items()})
        wrong += int((table.argmin(-1) != right[some]).sum())
    return wrong / max(len(right), 1)
