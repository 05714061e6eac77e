"""How good is a sample? Diagnostics of chains: split R̂ and the effective sample size.

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16 (2021), sections 3.1 and 3.2 (without ranks).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SpaceError


def _check(chains: Tensor) -> None:
    if chains.ndim < 2 or chains.shape[0] < 4:
        raise SpaceError(f"chains: wanted (steps ≥ 4, chains, …), got {tuple(chains.shape)}.")


def split_r_hat(chains: Float[Tensor, "T C *event"]) -> Float[Tensor, "*event"]:
    """√(variance of everything / variance within half-chains): 1 when they have mixed, above 1.01 be wary."""
    _check(chains)
    half = len(chains) // 2
    halves = torch.cat([chains[:half], chains[-half:]], 1)
    within = halves.var(0).mean(0)
    between = half * halves.mean(0).var(0)
    return ((half - 1) / half + between / (half * within)).sqrt()


def effective_sample_size(chains: Float[Tensor, "T C *event"]) -> Float[Tensor, "*event"]:
    """How many independent draws the chains are worth for estimating a mean (Geyer's initial monotone sequence)."""
    _check(chains)
    length, count = chains.shape[:2]
    centred = chains - chains.mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * length, dim=0)
    covariance = torch.fft.irfft(spectrum * spectrum.conj(), n=2 * length, dim=0)[:length] / length
    within = covariance[0].mean(0) * length / (length - 1)
    between = chains.mean(0).var(0) if count > 1 else torch.zeros_like(within)
    total = within * (length - 1) / length + between
    correlation = 1 - (within - covariance.mean(1)) / total
    pairs = correlation[: length // 2 * 2].unflatten(0, (-1, 2)).sum(1)
    positive = (pairs > 0).cumprod(0)
    monotone = torch.cummin(pairs, 0).values * positive
    time = -1 + 2 * monotone.sum(0)
    return length * count / time.clamp_min(1 / torch.tensor(float(length * count)).log10())
