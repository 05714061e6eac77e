"""Data made of formulas, where what there is to find is known: points on a spiral, signals to be mixed, lookalikes of data."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

#: The kinds of `hidden_sources`, in their order.
SOURCES = ("two-sided exponential", "uniform", "sine", "square wave", "sparse", "two-valued")
#: Standard deviation of the noise around the spiral.
SPREAD = 0.02
#: Places along the spiral that its density is summed over.
PLACES = 5_000


def spiral(samples: int, generator: torch.Generator) -> Float[Tensor, "N 2"]:
    """Points along two turns of a spiral of radius 1, with noise of 0.02."""
    along = torch.rand(samples, generator=generator).sqrt()
    angle = 4 * math.pi * along
    curve = torch.stack([along * angle.cos(), along * angle.sin()], 1)
    return curve + SPREAD * torch.randn(samples, 2, generator=generator)


def hidden_sources(samples: int, generator: torch.Generator) -> Float[Tensor, "N 6"]:
    """One source of each kind in `SOURCES`, of mean 0 and variance 1: three peaked or flat noises, three regular signals."""
    uniform, sign = (
        torch.rand(4, samples, generator=generator),
        torch.rand(3, samples, generator=generator).sub(0.5).sign(),
    )
    waiting = -uniform.clamp_min(1e-9).log()
    time = torch.arange(samples) / samples
    sources = torch.stack(
        [
            waiting[0] * sign[0],
            uniform[1],
            (2 * math.pi * 37 * time).sin(),
            (2 * math.pi * 11.3 * time).sin().sign(),
            waiting[2].square() * sign[1],
            sign[2] + 0.3 * uniform[3],
        ],
        1,
    )
    return (sources - sources.mean(0)) / sources.std(0)


def spiral_log_density(x: Float[Tensor, "N 2"]) -> Float[Tensor, " N"]:
    """log p of points under what `spiral` draws from, in nats: a sum over 5,000 places along the curve."""
    along = ((torch.arange(PLACES, dtype=torch.float64) + 0.5) / PLACES).sqrt()
    angle = 4 * math.pi * along
    curve = torch.stack([along * angle.cos(), along * angle.sin()], 1)
    norm = math.log(PLACES * 2 * math.pi * SPREAD**2)
    near = [(-0.5 * torch.cdist(rows, curve).square() / SPREAD**2).logsumexp(1) for rows in x.double().split(1000)]
    return torch.cat(near) - norm


def lookalikes(x: Float[Tensor, "N D"], count: int, generator: torch.Generator) -> Float[Tensor, "M D"]:
    """Draws from a Gaussian with the mean and covariance of samples: what no quadratic energy can tell from them.

    Args:
        x: The samples.
        count: M, how many draws.
        generator: Source of randomness.
    """
    noise = torch.randn(count, x.shape[1], generator=generator, dtype=x.dtype)
    return x.mean(0) + noise @ torch.linalg.cholesky(x.T.cov()).T
