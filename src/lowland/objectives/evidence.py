"""Evidence bounds: train −log p(x) = −log ∫ exp(−E(x, z)) dz without ever knowing the integral.

    evidence bound         ⟨−log p(x|z)⟩_q + w KL(q ‖ p(z))     ≥ −log p(x) for w = 1; w grows from 0 while training warms up
    importance weighted    −⟨log 1/k Σ_i exp(−E(x, z_i)) / q(z_i|x)⟩     ≥ −log p(x), tighter the larger k; k = 1 is the first

Pushes down: the energy of each datum and of the z that are believed to go with it. Pushes up: nothing by itself, since the energy is
normalised; what keeps z from carrying everything is the noise of q and what it costs to be sharp or far out (strategy A2).

The gradient for the encoder leaves out the part of ∂log q that is 0 on average ("sticking the landing"), and with it the noise that
drowns the encoder's signal as k grows: importance weights then count squared for it ("doubly reparameterised").

Sources: Kingma & Welling, ICLR 2014, eq. 3; Bowman et al., CoNLL 2016, for the warm-up; Higgins et al., ICLR 2017, for w ≠ 1; Burda,
Grosse & Salakhutdinov, ICLR 2016, eq. 8 and section 5.2 (active units); Roeder, Wu & Duvenaud, NIPS 2017; Tucker et al., ICLR 2019, eq. 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..energy import Energy, GaussianBelief
from ..errors import SpaceError, StructureError, VariableError
from .objective import Loss, Objective


@runtime_checkable
class Believing(Protocol):
    """An energy −log p(x|z) − log p(z) that comes with a guess of z."""

    def belief(self, x: Tensor) -> GaussianBelief: ...

    def prior(self, z: Tensor) -> Tensor: ...


class EvidenceBound(Objective):
    """The negative evidence lower bound, by one draw for each sample. Units: nats.

    Args:
        weight: w ≥ 0, what a nat of KL costs in the end; 1 is the bound, more keeps less of x in z.
        warm_up: Steps over which the weight grows from 0, so that a code is learnt before it has to pay.
        name: The observed variable.
        latent: The other one.
    """

    no_collapse = (
        "p(x|z) and p(z) are normalised, so lowering some x raises others; the KL term limits what z may tell of x."
    )
    tried_on = "latent"

    def __init__(self, weight: float = 1.0, warm_up: int = 0, name: str = "x", latent: str = "z") -> None:
        if not weight >= 0 or warm_up < 0:
            raise SpaceError(f"EvidenceBound: wanted weight ≥ 0 and warm_up ≥ 0 steps, got {weight} and {warm_up}.")
        self.weight, self.warm_up, self.name, self.latent = weight, warm_up, name, latent
        self.taken = 0

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        x, belief = _believed(self, energy, batch)
        z = belief.draw(1)[0]
        told = (energy(**{self.name: x, self.latent: z}) - energy.prior(z)).mean()  # type: ignore[operator]
        divergence = belief.divergence().mean()
        share = min(self.taken / self.warm_up, 1.0) if self.warm_up else 1.0
        self.taken += int(torch.is_grad_enabled())
        parts = {"reconstruction": told, "divergence": divergence, "bound": told + divergence}
        return Loss(told + self.weight * share * divergence, {name: part.detach() for name, part in parts.items()})

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.taken = int(state["taken"])


class ImportanceWeighted(Objective):
    """The importance-weighted bound with k draws for each sample. Units: nats.

    Args:
        draws: k ≥ 1; the decoder is run so many times for each sample.
        name: The observed variable.
        latent: The other one.
    """

    no_collapse = (
        "As for `EvidenceBound`; with more draws the bound is tighter, and z may be used where q is a poor guess."
    )
    tried_on = "latent"

    def __init__(self, draws: int = 5, name: str = "x", latent: str = "z") -> None:
        if draws < 1:
            raise SpaceError(f"ImportanceWeighted: wanted draws ≥ 1, got {draws}.")
        self.draws, self.name, self.latent = draws, name, latent

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        x, belief = _believed(self, energy, batch)
        z = belief.draw(self.draws)
        log_weights = -energy(**{self.name: x, self.latent: z}) - belief.detach().log_density(z)
        share = log_weights.detach().softmax(0)
        if z.requires_grad:  # what reaches z is weighted by the share once more, for the encoder alone
            z.register_hook(lambda slope: slope * share.unsqueeze(-1))
        bound = (math.log(self.draws) - log_weights.detach().logsumexp(0)).mean()
        surrogate = -(share * log_weights).sum(0).mean()
        parts = {"bound": bound, "effective": 1 / share.square().sum(0).mean()}
        return Loss(bound + (surrogate - surrogate.detach()), parts)


def _believed(objective: Any, energy: Energy, batch: Mapping[str, Any]) -> tuple[Tensor, GaussianBelief]:
    who = type(objective).__name__
    if energy.spaces.keys() != {objective.name, objective.latent} or not isinstance(energy, Believing):
        raise StructureError(
            f"{who}: wanted an energy of {objective.name} and {objective.latent} with a `belief` and a `prior` (LatentBits), got "
            f"{type(energy).__name__} of {', '.join(energy.spaces)}."
        )
    if objective.name not in batch:
        raise VariableError(f"{who}: the batch has {', '.join(batch) or 'nothing'} but not {objective.name}.")
    x = energy.spaces[objective.name].check(batch[objective.name], objective.name)
    return x, energy.belief(x)


def active_units(means: Float[Tensor, "N K"], least: float = 0.01) -> Bool[Tensor, " K"]:
    """Which numbers of a code say anything: those whose mean varies from sample to sample. All false: the posterior has collapsed.

    Args:
        means: Of the beliefs in many samples.
        least: The variance that counts, in units of z².
    """
    return means.var(0) > least
