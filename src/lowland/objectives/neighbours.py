"""Objectives over neighbours: bits whose every single flip is compared with the data, so that the partition function cancels.

    r_d = p(x with bit d flipped) / p(x) = exp(E(x) − E(x̄_d))

    pseudo-likelihood          Σ_d log(1 + r_d)                 −log p(x_d | the other bits)
    ratio matching             Σ_d σ(log r_d)²                  (1 − p(x_d | the other bits))²
    minimum probability flow   Σ_d √r_d                         probability that leaves the data in the first instant
    generalised score m.       Σ_d r_d² − 2 / r_d               squared distance between inverse conditionals

Pushes down: the data. Pushes up: their neighbours, one bit away; nothing that is farther. At the data's own distribution
all four are lowest for the same energy.

Sources: Besag, The Statistician 24 (1975); Hyvärinen, Computational Statistics & Data Analysis 51 (2007), eq. 12; Sohl-Dickstein,
Battaglino & DeWeese, ICML 2011, eq. 14; Lyu, UAI 2009, for the last; all compared by Marlin, Swersky, Chen & de Freitas,
AISTATS 2010. For the random subset of bits, Dauphin & Bengio, Stochastic Ratio Matching, NIPS 2013.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..energy import Energy
from ..errors import SpaceError, StructureError
from ..spaces import Binary
from .objective import Loss, Objective, alone


class NeighbourObjective(Objective):
    """An objective that compares each sample with those one bit away.

    Args:
        name: The variable of zeros and ones.
        bits: How many bits to flip, drawn anew for each batch and weighed to stand for all; all of them by default. N samples
            of D bits need the energies of N · D neighbours.
    """

    tried_on = "bits"

    def __init__(self, name: str = "x", bits: int | None = None) -> None:
        if bits is not None and bits < 1:
            raise SpaceError(f"{type(self).__name__}: wanted bits ≥ 1, got {bits}.")
        self.name, self.bits = name, bits

    @abstractmethod
    def losses(self, log_ratio: Tensor) -> Tensor:
        """The loss of each flip, from log r = E(x) − E(flipped), of any shape."""

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energy, x = alone(energy, batch, self.name)
        if not isinstance(energy.space, Binary):
            raise StructureError(
                f"{type(self).__name__}: wanted a variable of zeros and ones (Binary), got {self.name} in {energy.space!r}."
            )
        energies, flipped, share = _with_neighbours(energy, x, self.bits)
        value = self.losses(energies - flipped).sum(0).mean() / share
        parts = {"loss": value, "energy": energies.mean(), "energy_neighbours": flipped.mean()}
        return Loss(value, {name: part.detach() for name, part in parts.items()})


class PseudoLikelihood(NeighbourObjective):
    """−Σ_d log p(x_d | the other bits), in nats.

    Args:
        name: The variable of zeros and ones.
        bits: How many bits to flip; all by default.
    """

    no_collapse = "A flat energy predicts each bit from the others with probability ½: it costs log 2 a bit."

    def losses(self, log_ratio: Tensor) -> Tensor:
        return softplus(log_ratio)


class RatioMatching(NeighbourObjective):
    """Σ_d (1 − p(x_d | the other bits))²: bounded, so that an outlier counts for little. No unit.

    Args:
        name: The variable of zeros and ones.
        bits: How many bits to flip; all by default.
    """

    no_collapse = "A flat energy gives each flip the data's own probability: it costs ¼ a bit."

    def losses(self, log_ratio: Tensor) -> Tensor:
        return log_ratio.sigmoid().square()


class MinimumProbabilityFlow(NeighbourObjective):
    """Σ_d exp(½(E(x) − E(x̄_d))): how fast probability leaves the data when bits begin to flip. No unit.

    Args:
        name: The variable of zeros and ones.
        bits: How many bits to flip; all by default.
    """

    no_collapse = "A flat energy lets probability flow out at rate 1 a bit; data in valleys hold it."

    def losses(self, log_ratio: Tensor) -> Tensor:
        return (0.5 * log_ratio).exp()


class GeneralizedScoreMatching(NeighbourObjective):
    """Σ_d r_d² − 2/r_d. It has no lower bound unless the neighbours of the data are data too: smooth them. No unit.

    Args:
        name: The variable of zeros and ones.
        bits: How many bits to flip; all by default.
    """

    no_collapse = "A flat energy costs −1 a bit, data in valleys less: without end where no datum has been seen on the other side."

    def losses(self, log_ratio: Tensor) -> Tensor:
        return (2 * log_ratio).exp() - 2 * (-log_ratio).exp()


def _with_neighbours(energy: Energy, x: Tensor, bits: int | None) -> tuple[Tensor, Tensor, float]:
    """Energies ``(N,)`` of the samples, ``(K, N)`` of those one bit away, and K as a share of all bits."""
    flat = x.flatten(1)
    length = flat.shape[1]
    places = torch.arange(length, device=x.device)
    if bits is not None and bits < length:
        places = torch.randperm(length, device=x.device)[:bits]
    flip = torch.zeros(len(places), 1, length, dtype=x.dtype, device=x.device)
    flip.scatter_(2, places[:, None, None], 1)
    neighbours = (flat - flip).abs().reshape(len(places), *x.shape)
    return energy.value(x), energy.value(neighbours), len(places) / max(length, 1)
