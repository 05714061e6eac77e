"""Importance sampling: how likely is x, where a sum over z has no closed form but somebody believes something of z?

    F(x) = −log ∫ exp(−E(x, z)) dz ≈ −log 1/k Σ_i w_i,    w_i = exp(−E(x, z_i)) / q(z_i|x),   z_i drawn from q

The mean of the weights is right in expectation for any k and any q that is 0 nowhere; its logarithm is too low on average, by about
half the relative variance of the mean, so free energies are overestimated: never too good. For k = 1 it is the evidence lower bound.

Sources: Rezende, Mohamed & Wierstra, ICML 2014, appendix E; Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR
2016, theorem 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..energy import Energy
from ..errors import DivergenceError, SpaceError
from .annealed_importance_sampling import NORMAL_95


@runtime_checkable
class Belief(Protocol):
    """What somebody thinks of z, one density for each sample."""

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor: ...

    def log_density(self, z: Tensor) -> Tensor: ...

    def select(self, rows: Tensor) -> Belief: ...


class FreeEnergies(NamedTuple):
    """What importance sampling found.

    Attributes:
        value: ``(N,)`` in float64: F(x) = −log p(x) of each sample where E is normalised, in nats.
        effective: ``(N,)``: how many draws with equal weights would be as good; 1 of them is a warning.
    """

    value: Tensor
    effective: Tensor

    @property
    def mean(self) -> float:
        """Over the samples, in nats."""
        return self.value.mean().item()

    @property
    def interval(self) -> float:
        """Half of the 95 % interval of that mean, by the spread of the samples."""
        return NORMAL_95 * self.value.std().item() / len(self.value) ** 0.5


@torch.no_grad()
def importance_sampling(
    energy: Energy,
    belief: Belief,
    draws: int = 1000,
    *,
    rows: int = 20,
    at_once: int = 50,
    generator: torch.Generator | None = None,
    progress: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> FreeEnergies:
    """The free energy at β = 1 of an energy of one variable, one for each sample.

    Args:
        energy: E(z), everything else given, for N samples.
        belief: Draws z and says how likely the draw was, for the same N samples.
        draws: k, how many for each sample.
        rows: How many samples share one call of the energy.
        at_once: How many draws of each share it: memory and speed, nothing else.
        generator: Source of randomness.
        progress: Wraps the groups of samples, for instance ``tqdm.tqdm``.

    Raises:
        SpaceError: If the number of draws, or of what is done at once, is not positive.
        DivergenceError: If a weight is not finite; names the sample.
    """
    if min(draws, rows, at_once) < 1 or len(energy.batch_shape) != 1:
        raise SpaceError(
            f"importance_sampling: wanted draws, rows and at_once ≥ 1 and an energy of N samples, got {draws}, {rows}, {at_once} "
            f"and batch shape {tuple(energy.batch_shape)}."
        )
    every = torch.arange(energy.batch_shape[0], device=energy.device)
    values, effective = [], []
    groups: Iterable[Tensor] = every.split(rows)
    for group in progress(groups) if progress else groups:
        here, guess = energy.select(group), belief.select(group)
        parts = []
        for start in range(0, draws, at_once):
            z = guess.draw(min(at_once, draws - start), generator)
            parts.append(-here.value(z).double() - guess.log_density(z).double())
        log_weights: Float[Tensor, "k n"] = torch.cat(parts)
        if not bool(log_weights.isfinite().all()):
            wrong = int(group[(~log_weights.isfinite()).any(0)][0])
            raise DivergenceError(f"importance_sampling: a weight of sample {wrong} is not finite.")
        total = log_weights.logsumexp(0)
        values.append(math.log(draws) - total)
        effective.append((2 * total - (2 * log_weights).logsumexp(0)).exp())
    return FreeEnergies(torch.cat(values), torch.cat(effective))
