"""Objectives over what can be answered: labels in a table, or paths and strings that a recursion sums over.

    E⁺ = E(x, y)  the right answer     E⁻ = min_{ȳ ≠ y} E(x, ȳ)  the most offending wrong one

    negative log-likelihood   E⁺ + 1/β log Σ_ȳ exp(−β E(ȳ))    all, each by its probability
    perceptron                E⁺ − min_ȳ E(ȳ)                  the answer given, if it is wrong
    hinge                     max(0, m + E⁺ − E⁻)              the most offending, until it is m higher
    margin rescaling          E⁺ − min_ȳ (E(ȳ) − m Δ(y, ȳ))    the same, a margin for each mistake in it
    square–square             (E⁺)² + max(0, m − E⁻)²          the same, to fixed levels
    minimum classification    σ(β (E⁺ − E⁻))                   the same, near the boundary
    LVQ2                      min(1, max(0, E⁺ − E⁻) / δ E⁻)   the same, until it is far off

One line changes the objective, and the same classes serve labels, chains and lattices. Where a latent path has been
marginalised out, `objective(energy.marginalize("z"), batch)`, the minimum over answers becomes the free energy that the
latent path went by: the minimum over strings of a sum over paths has no exact recursion.

Sources: LeCun et al., A Tutorial on Energy-Based Learning (2006), section 2.2, eqs. 7–18 and table 1; Juang, Hou & Lee,
IEEE Trans. Speech and Audio 5 (1997), for minimum classification error; Taskar, Guestrin & Koller, Max-Margin Markov
Networks, NIPS (2003), for margin rescaling.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import Energy, FreeEnergy, Min, Reduction, Structure, Table
from ..errors import SpaceError, StructureError
from .objective import Loss, Objective, observed


@dataclass(frozen=True)
class Answers:
    """The energies of the answers to a batch of questions.

    Attributes:
        energy: Of the answer and of what is known.
        name: The variable that is the answer.
        answer: The right one, ``(N, *event)``.
        rest: What is known.
    """

    energy: Energy
    name: str
    answer: Tensor
    rest: Mapping[str, Any]

    @cached_property
    def structure(self) -> Structure:
        """What sums over all answers."""
        return self._structure(None)

    def _structure(self, other_than: Tensor | None) -> Structure:
        found = self.energy.structure(self.name, other_than=other_than, **self.rest)
        if found is None:
            raise StructureError(
                f"{type(self.energy).__name__}: {self.name} ranges over {self.energy.spaces[self.name]!r}, which has neither a table "
                "nor a recursion; wanted a Categorical, or paths or strings that a recursion sums over."
            )
        return found[0]

    @cached_property
    def table(self) -> Tensor | None:
        """The energy of every answer ``(N, K)``, if there are few."""
        return self.structure.potentials if isinstance(self.structure, Table) else None

    @cached_property
    def right(self) -> Tensor:
        """The energy of the right answer, ``(N,)``.

        Raises:
            StructureError: If it is forbidden, with the sample.
        """
        if self.table is not None:
            return self.table.gather(-1, self.answer.unsqueeze(-1)).squeeze(-1)
        right = self.energy(**{self.name: self.answer}, **self.rest)
        if self.energy.hard and bool(right.isinf().any()):
            sample = int(right.isinf().nonzero()[0, 0])
            raise StructureError(
                f"{self.name}: no path leads to the answer of sample {sample}, {self.answer[sample].tolist()}: the grammar forbids it, "
                "or it is longer than its input allows."
            )
        return right

    def every(self, reduction: Reduction) -> Tensor:
        """All answers reduced to one energy, ``(N,)``."""
        return self.structure.reduce(reduction)

    def wrong(self) -> Tensor:
        """The lowest of all answers but the right one, ``(N,)``; their free energy, where a latent variable went by one."""
        structure = self._structure(self.answer) if self.table is None else Table(self.table, self.answer)
        return structure.reduce(structure.bound or Min())

    def augmented(self, margin: float) -> Tensor:
        """The lowest of all answers, each wrong one made lower by the margin for each of its mistakes, ``(N,)``."""
        return self.structure.augmented(self.answer, margin).reduce(self.structure.bound or Min())


class AnswerObjective(Objective):
    """An objective that compares the right answer's energy with those of others.

    Args:
        name: The variable that is predicted.
    """

    def __init__(self, name: str = "y") -> None:
        self.name = name

    @abstractmethod
    def losses(self, answers: Answers) -> Tensor:
        """The loss of each sample, ``(N,)``."""

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        if self.name not in values:
            raise StructureError(
                f"{type(self).__name__}: {type(energy).__name__} has no variable {self.name}, only {', '.join(values)}."
            )
        right = values.pop(self.name)
        if energy.spaces[self.name].kind != "int":
            raise StructureError(
                f"{type(self).__name__}: {self.name} ranges over {energy.spaces[self.name]!r}; wanted a Categorical, a path or a string."
            )
        answers = Answers(energy, self.name, right, values)
        value = self.losses(answers).mean()
        with torch.no_grad():
            parts = {"loss": value.detach(), "energy": answers.right.mean()}
            if answers.table is not None:
                parts["error"] = (answers.table.argmin(-1) != right).to(value.dtype).mean()
        return Loss(value, parts)


class NegativeLogLikelihood(AnswerObjective):
    """−1/β log p(y | x) with p ∝ exp(−βE): cross entropy, in units of energy.

    Args:
        name: The variable that is predicted.
        beta: Inverse temperature > 0, in 1 / (units of energy).
    """

    no_collapse = "The partition function pushes up every answer by its probability; a flat energy costs log(K)/β."

    def __init__(self, name: str = "y", beta: float = 1.0) -> None:
        super().__init__(name)
        self.reduction = FreeEnergy(beta)

    def losses(self, answers: Answers) -> Tensor:
        if answers.table is None:
            return answers.right - answers.every(self.reduction)
        # E⁺ − F_β in one kernel; written out with `FreeEnergy` it is three times slower, which small networks feel
        beta = self.reduction.beta
        if beta == 1:
            return nn.functional.cross_entropy(-answers.table, answers.answer, reduction="none")
        return nn.functional.cross_entropy(-beta * answers.table, answers.answer, reduction="none") / beta


class Perceptron(AnswerObjective):
    """E(x, y) − min E: zero once the right answer is lowest, with no margin."""

    no_collapse = "Nothing: a flat energy has loss 0. Only for energies that are linear in their parameters, or start away from flat."

    def losses(self, answers: Answers) -> Tensor:
        return answers.right - answers.every(answers.structure.bound or Min())


class _Margin(AnswerObjective):
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

    def losses(self, answers: Answers) -> Tensor:
        return (self.margin + answers.right - answers.wrong()).clamp_min(0)


class MarginRescaling(_Margin):
    """E(x, y) − min (E(x, ȳ) − m Δ(y, ȳ)): an answer must lie a margin above the right one for each mistake in it.

    Δ counts the positions at which ȳ differs from y; for a label, it is 1.
    """

    no_collapse = "A flat energy costs the margin for every position."

    def losses(self, answers: Answers) -> Tensor:
        return answers.right - answers.augmented(self.margin)


class SquareSquare(_Margin):
    """E(x, y)² + max(0, m − E(x, ȳ))²: right answers to 0, the most offending above m. For energies ≥ 0; units: energy²."""

    no_collapse = "A flat energy can't be 0 and m at once."

    def losses(self, answers: Answers) -> Tensor:
        return answers.right.square() + (self.margin - answers.wrong()).clamp_min(0).square()


class MinimumClassificationError(AnswerObjective):
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

    def losses(self, answers: Answers) -> Tensor:
        return torch.sigmoid(self.beta * (answers.right - answers.wrong()))


class LVQ2(AnswerObjective):
    """min(1, max(0, E(x, y) − E(x, ȳ)) / δ E(x, ȳ)): a mistake counts by how large it is, and at most as one. No unit.

    For energies > 0: the ratio says how much higher the right answer lies, and there is no margin.

    Args:
        name: The variable that is predicted.
        delta: δ > 0: from which excess on a mistake counts as one, as a part of the wrong answer's energy.
    """

    no_collapse = "Nothing: a flat energy has loss 0. Only for energies that start away from flat."

    def __init__(self, name: str = "y", delta: float = 0.5) -> None:
        super().__init__(name)
        if not delta > 0:
            raise SpaceError(f"LVQ2: wanted delta > 0, got {delta}.")
        self.delta = delta

    def losses(self, answers: Answers) -> Tensor:
        wrong = answers.wrong()
        excess = (answers.right - wrong).clamp_min(0)
        return (excess / (self.delta * wrong).clamp_min(torch.finfo(wrong.dtype).eps)).clamp_max(1)
