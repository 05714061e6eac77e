"""A number that is learnt and added: what an energy lacks to be a negative log-probability.

−log p(x) = E(x) + c,   c = log Z
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .energy import Energy


class Constant(Energy):
    """An energy of no variable: ``E + Constant()`` is E shifted by a parameter, as noise-contrastive estimation wants it.

    Args:
        value: Where it begins, in units of energy.

    Attributes:
        constant: The number, a parameter.
    """

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(float(value)))

    def energies(self) -> Tensor:
        return self.constant
