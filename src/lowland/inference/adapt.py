"""Tune a sampler's rate: another algorithm, wrapped around the one it tunes.

    log η ← log η + 3 k^{-0.6} ( accepted − target )

Source: Andrieu & Thoms, A tutorial on adaptive MCMC, Statistics and Computing 18 (2008), algorithm 2 (Robbins–Monro).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import StructureError
from .hmc import HMC
from .langevin import MALA
from .solver import Solver

Proposing = TypeVar("Proposing", bound=Solver)


@torch.no_grad()
def adapt(
    solver: Proposing,
    energy: Energy,
    init: Tensor,
    *,
    target: float | None = None,
    steps: int = 200,
    generator: torch.Generator | None = None,
) -> tuple[Proposing, Tensor]:
    """The same sampler with a rate at which the wanted fraction of proposals is taken, and where its chains have got to.

    One rate serves all chains, so they are not independent while it is tuned: begin to sample afterwards, with the rate fixed.

    Args:
        solver: The sampler; its rate is where the search begins.
        energy: An energy of one variable.
        init: ``(*B, *event)``, a start for each chain.
        target: Fraction of proposals to take; 0.574 for MALA and 0.651 for HMC are optimal in high dimension
            (Roberts & Rosenthal 1998; Beskos et al. 2013), and what is taken by default.
        steps: How many steps to tune for.
        generator: Source of randomness.

    Raises:
        StructureError: If the solver proposes nothing, so that there is nothing to tune.
    """
    if not isinstance(solver, MALA | HMC):
        raise StructureError(
            f"adapt: wanted a sampler that accepts or refuses proposals (MALA, HMC), got {type(solver).__name__}."
        )
    target = target or (0.574 if isinstance(solver, MALA) else 0.651)
    state: Any = solver.init(energy, init, generator)
    log_rate, tail = math.log(solver.rate), []
    for step in range(1, steps + 1):
        tuned = dataclasses.replace(solver, rate=math.exp(log_rate))
        state, info = tuned.step(energy, state)
        accepted = 0.0 if info.accepted is None else float(info.accepted.double().mean())
        log_rate += 3 * step**-0.6 * (accepted - target)
        if 2 * step > steps:
            tail.append(log_rate)
    settled = sum(tail) / len(tail) if tail else log_rate
    return dataclasses.replace(solver, rate=math.exp(settled)), state.z
