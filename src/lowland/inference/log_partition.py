"""The exact sum of exp(−β E) over every value of a finite variable, a piece at a time.

    log Z = log Σ_x exp(−β E(x))

What an estimate is judged by. Of a Boltzmann machine sum out the larger layer first, in closed form: 20 hidden bits are a million
values however many visible ones there are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..energy import Energy

#: Values whose energies are held at once.
ROWS = 2**14


@torch.no_grad()
def log_partition(energy: Energy, beta: float = 1.0) -> Tensor:
    """log Σ exp(−β E), a scalar in double precision.

    Args:
        energy: Of one finite variable, with nothing given that has a batch: ``machine.marginalize("x")``.
        beta: Inverse temperature > 0.

    Raises:
        StructureError: If the variable has no end of values, or more than a million.
    """
    every = energy.space.enumerate(energy.device)
    if every.is_floating_point() and energy.reference is not None:
        every = every.to(energy.reference.dtype)
    pieces = [torch.logsumexp(-beta * energy.value(rows).double(), 0) for rows in every.split(ROWS)]
    return torch.logsumexp(torch.stack(pieces), 0)
