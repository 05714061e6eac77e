"""InfoNCE: of all y in the batch, which one belongs to x?

    L = mean_i  E(x_i, y_i) + 1/β log Σ_j exp(−β E(x_i, y_j))

Cross entropy over the batch instead of over everything: pushes down pairs that belong together, pushes up x with the y of
others and, with a queue, with the y of batches gone by.

Sources: van den Oord, Li & Vinyals, Representation Learning with Contrastive Predictive Coding (2018), eq. 4; for the queue,
He, Fan, Wu, Xie & Girshick, Momentum Contrast, CVPR 2020, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..energy import Energy
from ..errors import SpaceError
from .objective import Loss, Objective, observed


class InfoNCE(Objective):
    """Cross entropy of the right partner among all in the batch and the queue, in units of energy.

    The energy is asked for every pair at once, ``x (N, 1, *event)`` against ``y (1, N + queue, *event)``: where an encoder makes
    that dear, let x and y be what it has made of them.

    Args:
        beta: Inverse temperature > 0, in 1 / (units of energy).
        queue: How many y of earlier batches are compared with, too; 0 for none.
        x: The variable that is given.
        y: The variable whose right value is looked for.
    """

    no_collapse = "A flat energy can't tell partners from strangers: it costs log(N + queue)/β."
    tried_on = "pairs"

    def __init__(self, beta: float = 1.0, queue: int = 0, x: str = "x", y: str = "y") -> None:
        if not beta > 0:
            raise SpaceError(f"InfoNCE: wanted beta > 0, got {beta}.")
        if queue < 0:
            raise SpaceError(f"InfoNCE: wanted a queue of length ≥ 0, got {queue}.")
        self.beta, self.queue, self.x, self.y = beta, queue, x, y
        self._past: Tensor | None = None

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        x, y = (energy.spaces[name].check(values[name], name) for name in (self.x, self.y))
        others = y if self._past is None else torch.cat([y, self._past.to(y)])
        table = energy(**{self.x: x.unsqueeze(1), self.y: others.unsqueeze(0)})
        right = torch.arange(len(x), device=table.device)
        value = cross_entropy(-self.beta * table, right) / self.beta
        if self.queue:
            self._past = others.detach()[: self.queue].clone()
        with torch.no_grad():
            found = (table.argmin(-1) == right).to(table.dtype).mean()
        return Loss(value, {"loss": value.detach(), "energy": table.diagonal().mean().detach(), "found": found})

    def state_dict(self) -> dict[str, Any]:
        return {"past": self._past}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._past = state["past"]
