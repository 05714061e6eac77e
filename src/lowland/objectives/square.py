"""Square loss on the table: regress each label's energy to a target (Widrow & Hoff's rule).

    L = ½ Σ_k ( −E(x, k) − t_k )²,   t = +1 for the right label, −1 for the others

Source: Widrow & Hoff, Adaptive Switching Circuits, IRE WESCON (1960).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import StructureError
from .answers import AnswerObjective, Answers


class LeastMeanSquares(AnswerObjective):
    """½ Σ_k (−E_k − t_k)²: every output has a target, right or wrong. Units: energy²."""

    no_collapse = "Targets differ between labels, so a flat energy costs at least 2 (K − 1) / K."

    def losses(self, answers: Answers) -> Tensor:
        table = answers.table
        if table is None:
            raise StructureError(f"LeastMeanSquares: wanted a table of energies, but {answers.name} is no label.")
        target = torch.full_like(table, -1.0).scatter(-1, answers.answer.unsqueeze(-1), 1.0)
        return 0.5 * (table + target).square().sum(-1)
