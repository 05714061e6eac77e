"""Data made of formulas, where what there is to find is known: points on a spiral, and signals to be mixed."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

#: The kinds of `hidden_sources`, in their order.
SOURCES = ("two-sided exponential", "uniform", "sine", "square wave", "sparse", "two-valued")


def spiral(samples: int, generator: torch.Generator) -> Float[Tensor, "N 2"]:
    """Points along two turns of a spiral of radius 1, with noise of 0.02."""
    along = torch.rand(samples, generator=generator).sqrt()
    angle = 4 * math.pi * along
    curve = torch.stack([along * angle.cos(), along * angle.sin()], 1)
    return curve + 0.02 * torch.randn(samples, 2, generator=generator)


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
