"""Latent prediction: learn what comes next together with what could not be known, and keep actions in charge of what they decide.

    L = ⟨½ ‖(y − g(s, a, z)) / σ‖²⟩ + w KL(q(z|s, y) ‖ N(0, 1))      z from q; with probability p from N(0, 1) instead

Pushes down: what came, at the z that the encoder believes in. Pushes up: nothing by itself; KL limits what z may tell of y, and where z
is dropped it tells nothing. An encoder that has seen y could tell the decoder what the action did, and a planner would find that actions
do nothing: where z is drawn blindly that does not help, and the action is listened to.

Source: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, section 2.1 ("z-dropout").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..energy import Energy, GaussianBelief
from ..errors import SpaceError, StructureError, VariableError
from .objective import Loss, Objective


@runtime_checkable
class Foreseeing(Protocol):
    """An energy −log p(y|s, a, z) − log p(z) that comes with a guess of z from what came."""

    def belief(self, s: Tensor, y: Tensor) -> GaussianBelief: ...

    def prior(self, z: Tensor) -> Tensor: ...


class LatentPrediction(Objective):
    """The evidence bound of what comes next, with z dropped now and then. Units: nats.

    Args:
        weight: w ≥ 0, what a nat of KL costs.
        dropout: p in [0, 1), the probability that the z of a step is drawn from N(0, 1).
    """

    no_collapse = "What came next is given; what z may tell of it costs its KL, and where z is dropped nothing is told."
    tried_on = "forecast"

    def __init__(self, weight: float = 1.0, dropout: float = 0.5) -> None:
        if not weight >= 0 or not 0 <= dropout < 1:
            raise SpaceError(f"LatentPrediction: wanted weight ≥ 0 and dropout in [0, 1), got {weight} and {dropout}.")
        self.weight, self.dropout = weight, dropout

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        if not isinstance(energy, Foreseeing) or not {"s", "y", "z"} <= energy.spaces.keys():
            raise StructureError(
                "LatentPrediction: wanted an energy of s, a, y and z with a `belief` and a `prior` (LatentForecast), got "
                f"{type(energy).__name__} of {', '.join(energy.spaces)}."
            )
        if missing := energy.spaces.keys() - {"z"} - batch.keys():
            raise VariableError(
                f"LatentPrediction: the batch has {', '.join(batch) or 'nothing'} but not {', '.join(sorted(missing))}."
            )
        values = {name: batch[name] for name in energy.spaces if name != "z"}
        belief = energy.belief(values["s"], values["y"])
        z = belief.draw(1)[0]
        if self.dropout:
            dropped = torch.rand(z.shape[:-1], device=z.device) < self.dropout
            z = torch.where(dropped.unsqueeze(-1), torch.randn_like(z), z)
        told = (energy(**values, z=z) - energy.prior(z)).mean()
        divergence = belief.divergence().reshape(len(z), -1).sum(1).mean()
        return Loss(told + self.weight * divergence, {"prediction": told.detach(), "divergence": divergence.detach()})
