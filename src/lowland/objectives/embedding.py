"""Objectives over pairs and triplets, for energies that are distances between embeddings.

    contrastive   same E(x, y) + (1 − same) ½ max(0, m − √(2 E(x, y)))²      of the same kind to 0, others to distance m
    triplet       max(0, m + E(x, y) − E(x, ȳ))                              the stranger a margin above the kin

Push down: pairs of the same kind. Push up: pairs of different kinds, until they are a margin away.

Sources: Hadsell, Chopra & LeCun, Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006, eq. 4, with
E = ½ D²; Schroff, Kalenichenko & Philbin, FaceNet, CVPR 2015, eq. 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, VariableError
from .objective import Loss, Objective, observed


class ContrastivePairs(Objective):
    """Pairs of the same kind to energy 0, others to distance m. For energies ½ D² ≥ 0; units: energy.

    Args:
        margin: m > 0, a distance: in units of the embedding.
        same: What the batch calls whether two belong together, booleans ``(N,)``.
    """

    no_collapse = "Pairs of different kinds at distance 0 cost half the margin squared."
    tried_on = "pairs"

    def __init__(self, margin: float = 1.0, same: str = "same") -> None:
        _check_margin(self, margin)
        self.margin, self.same = margin, same

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energies = energy(**observed(energy, batch))
        same = _other(self, batch, self.same)
        if same.dtype != torch.bool or same.shape != energies.shape:
            raise SpaceError(
                f"{self.same}: wanted booleans of shape {tuple(energies.shape)}, got {same.dtype} of shape {tuple(same.shape)}."
            )
        # √ has an infinite slope at 0, where two embeddings coincide
        distance = (2 * energies).clamp_min(torch.finfo(energies.dtype).eps).sqrt()
        value = torch.where(same, energies, 0.5 * (self.margin - distance).clamp_min(0).square()).mean()
        return Loss(value, {"loss": value.detach(), "energy": energies[same].sum().detach() / same.sum().clamp_min(1)})


class Triplet(Objective):
    """max(0, m + E(x, y) − E(x, ȳ)), in units of energy.

    Args:
        margin: m > 0, in units of energy.
        x: The anchor's name.
        y: The name of what belongs to it.
        other: What the batch calls that which doesn't, ``(N, *y)``.
    """

    no_collapse = "A flat energy costs the margin."
    tried_on = "pairs"

    def __init__(self, margin: float = 1.0, x: str = "x", y: str = "y", other: str = "other") -> None:
        _check_margin(self, margin)
        self.margin, self.x, self.y, self.other = margin, x, y, other

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        kin = energy(**values)
        stranger = energy(**{**values, self.y: _other(self, batch, self.other)})
        losses = (self.margin + kin - stranger).clamp_min(0)
        violated = (losses > 0).to(losses.dtype).mean()
        parts = {"loss": losses.mean(), "energy": kin.mean(), "energy_other": stranger.mean(), "violated": violated}
        return Loss(losses.mean(), {name: part.detach() for name, part in parts.items()})


def _other(objective: Objective, batch: Mapping[str, Any], name: str) -> Tensor:
    if name not in batch:
        raise VariableError(f"{type(objective).__name__}: the batch has {', '.join(batch)} but not {name}.")
    return batch[name]


def _check_margin(objective: Objective, margin: float) -> None:
    if not margin > 0:
        raise SpaceError(f"{type(objective).__name__}: wanted a margin > 0, got {margin}.")
