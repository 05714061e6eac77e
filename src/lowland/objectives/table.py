"""Objectives over a finite variable: every wrong answer is in the table, so it can be pushed up.

    E⁺ = E(x, y)  the right answer     E⁻ = min_{ȳ ≠ y} E(x, ȳ)  the most offending wrong one

    negative log-likelihood   E⁺ + 1/β log Σ_ȳ exp(−β E(ȳ))    all, each by its probability
    perceptron                E⁺ − min_ȳ E(ȳ)                  the answer given, if it is wrong
    hinge                     max(0, m + E⁺ − E⁻)              the most offending, until it is m higher
    square–square             (E⁺)² + max(0, m − E⁻)²          the same, to fixed levels
    minimum classification    σ(β (E⁺ − E⁻))                   the same, near the boundary

Source: LeCun et al., A Tutorial on Energy-Based Learning (2006), section 2.2, eqs. 7–18 and table 1; Juang, Hou & Lee,
IEEE Trans. Speech and Audio 5 (1997), for minimum classification error.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import Energy, FreeEnergy, Min
from ..errors import SpaceError, StructureError
from .objective import Loss, Objective, observed


class TableObjective(Objective):
    """An objective that looks at the energy of every value of one finite variable.

    Args:
        name: The variable that is predicted.
    """

    def __init__(self, name: str = "y") -> None:
        self.name = name

    @abstractmethod
    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        """The loss of each sample, from its energies ``(N, K)`` and the index of the right one ``(N,)``."""

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        if self.name not in values:
            raise StructureError(
                f"{type(self).__name__}: {type(energy).__name__} has no variable {self.name}, only {', '.join(values)}."
            )
        right = values.pop(self.name)
        if energy.spaces[self.name].kind != "int":
            raise StructureError(
                f"{type(self).__name__}: {self.name} ranges over {energy.spaces[self.name]!r}; wanted a Categorical."
            )
        energy.spaces[self.name].batch_shape(right, self.name)
        table = energy.table(self.name, **values)
        value = self.losses(table, right).mean()
        with torch.no_grad():
            low = table.gather(-1, right.unsqueeze(-1)).mean()
            error = (table.argmin(-1) != right).to(table.dtype).mean()
        return Loss(value, {"loss": value.detach(), "energy": low, "error": error})


class NegativeLogLikelihood(TableObjective):
    """−1/β log p(y | x) with p ∝ exp(−βE): cross entropy, in units of energy.

    Args:
        name: The variable that is predicted.
        beta: Inverse temperature > 0, in 1 / (units of energy).
    """

    no_collapse = "The partition function pushes up every answer by its probability; a flat energy costs log(K)/β."

    def __init__(self, name: str = "y", beta: float = 1.0) -> None:
        super().__init__(name)
        self.reduction = FreeEnergy(beta)

    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        # E⁺ − F_β in one kernel; written out with `FreeEnergy` it is three times slower, which small networks feel
        beta = self.reduction.beta
        return nn.functional.cross_entropy(-beta * table, right, reduction="none") / beta


class Perceptron(TableObjective):
    """E(x, y) − min E: zero once the right answer is lowest, with no margin."""

    no_collapse = "Nothing: a flat energy has loss 0. Only for energies that are linear in their parameters, or start away from flat."

    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        return _right(table, right) - Min()(table)


class _Margin(TableObjective):
    """An objective with a margin.

    Args:
        name: The variable that is predicted.
        margin: > 0, in units of energy.
    """

    def __init__(self, name: str = "y", margin: float = 1.0) -> None:
        super().__init__(name)
        if not margin > 0:
            raise SpaceError(f"{type(self).__name__}: wanted a margin > 0, got {margin}.")
        self.margin = margin


class Hinge(_Margin):
    """max(0, m + E(x, y) − E(x, ȳ)): the most offending answer must lie a margin above the right one."""

    no_collapse = "A flat energy costs the margin."

    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        return (self.margin + _right(table, right) - _most_offending(table, right)).clamp_min(0)


class SquareSquare(_Margin):
    """E(x, y)² + max(0, m − E(x, ȳ))²: right answers to 0, the most offending above m. For energies ≥ 0; units: energy²."""

    no_collapse = "A flat energy can't be 0 and m at once."

    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        return _right(table, right).square() + (self.margin - _most_offending(table, right)).clamp_min(0).square()


class MinimumClassificationError(TableObjective):
    """σ(β(E(x, y) − E(x, ȳ))): a smooth count of mistakes. No unit.

    Args:
        name: The variable that is predicted.
        beta: > 0: how sharply a mistake is counted, in 1 / (units of energy).
    """

    no_collapse = "A flat energy counts as half a mistake everywhere."

    def __init__(self, name: str = "y", beta: float = 1.0) -> None:
        super().__init__(name)
        if not beta > 0:
            raise SpaceError(f"MinimumClassificationError: wanted beta > 0, got {beta}.")
        self.beta = beta

    def losses(self, table: Tensor, right: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * (_right(table, right) - _most_offending(table, right)))


def _right(table: Tensor, right: Tensor) -> Tensor:
    return table.gather(-1, right.unsqueeze(-1)).squeeze(-1)


def _most_offending(table: Tensor, right: Tensor) -> Tensor:
    if table.shape[-1] < 2:
        raise StructureError("A margin needs at least two answers to choose from, got one.")
    return table.scatter(-1, right.unsqueeze(-1), torch.inf).min(-1).values
