"""Variance and covariance of embeddings: every dimension must vary over the batch, and no two alike.

    v Σ_d max(0, γ − √(var h_d + ε)) / D  +  c Σ_{d ≠ d′} cov(h_d, h_d′)² / D

Pushes up: whatever makes the embeddings of different samples the same, without a look at any pair. Pushes down nothing: add it to
an objective that pulls together what belongs together, ``EnergyLoss() + 25.0 * VarianceCovariance()`` (strategy A2).

Source: Bardes, Ponce & LeCun, VICReg, ICLR 2022, eqs. 1–4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .objective import Loss, Objective, encoder, observed


class VarianceCovariance(Objective):
    """A hinge on the standard deviation of each dimension, and the squares of the covariances. No unit.

    Args:
        spread: γ > 0, the standard deviation below which a dimension is pushed apart, in units of the embedding.
        covariance: c ≥ 0, weight of the covariances beside the variances.
        names: The variables that are embedded.
        encoder: ``encoder(value (N, *event)) → (N, D)``; the part of the energy called ``encoder`` by default.
    """

    no_collapse = "Embeddings that are all alike, or repeat one number, cost γ or their covariances."
    tried_on = "pairs"

    def __init__(
        self,
        spread: float = 1.0,
        covariance: float = 0.04,
        names: Sequence[str] = ("x", "y"),
        encoder: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if not spread > 0 or covariance < 0:
            raise SpaceError(
                f"VarianceCovariance: wanted spread > 0 and covariance ≥ 0, got {spread} and {covariance}."
            )
        self.spread, self.covariance, self.names, self.encoder = spread, covariance, tuple(names), encoder

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        energy.known(self.names)
        embed = self.encoder or encoder(energy)
        hinges, covariances = [], []
        for name in self.names:
            h = embed(values[name]).flatten(1)
            if len(h) < 2:
                raise SpaceError(f"VarianceCovariance: wanted a batch of at least 2 samples of {name}, got {len(h)}.")
            hinges.append((self.spread - (h.var(0) + 1e-4).sqrt()).clamp_min(0).mean())
            centred = h - h.mean(0)
            matrix = centred.T @ centred / (len(h) - 1)
            covariances.append((matrix.square().sum() - matrix.diagonal().square().sum()) / h.shape[1])
        variance, covariance = torch.stack(hinges).mean(), torch.stack(covariances).mean()
        value = variance + self.covariance * covariance
        return Loss(value, {"variance": variance.detach(), "covariance": covariance.detach()})
