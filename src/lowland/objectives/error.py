"""The share of wrong answers, mean [ argmin_ȳ E(x, ȳ) ≠ y ]: what the objectives over tables stand in for.

It has no slope to follow, so it judges and does not train.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
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


def calibration_error(right: Tensor, certainty: Tensor, bins: int = 10) -> float:
    """How far certainty and frequency lie apart: 0 where of the answers that are 80 % sure 80 % are right, and so on.

    Source: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, ICML 2017, eq. 3 (expected calibration error).

    Args:
        right: ``(N,)`` bool: whether each answer is right.
        certainty: ``(N,)``, the probability that the answer gives itself, from 0 to 1.
        bins: Intervals of equal width; within one, mean certainty is compared with the share of right answers.

    Raises:
        SpaceError: If there is no answer, or a certainty outside 0 to 1.
    """
    if not len(certainty) or not bool(((certainty >= 0) & (certainty <= 1)).all()):
        raise SpaceError(f"calibration_error: wanted certainties from 0 to 1, got {certainty}.")
    which = (certainty * bins).long().clamp_max(bins - 1)
    excess = torch.zeros(bins, dtype=torch.float64).index_add(0, which, right.double() - certainty.double())
    return (excess.abs().sum() / len(certainty)).item()
