"""How well an energy tells two kinds of samples apart: the area under the receiver operating characteristic."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SpaceError


@torch.no_grad()
def auroc(low: Float[Tensor, " N"], high: Float[Tensor, " M"]) -> float:
    """The probability that a sample that should lie low has less energy than one that should lie high; ties count half.

    Args:
        low: Energies of what the model should know, ``(N,)``.
        high: Energies of what it should find strange, ``(M,)``.

    Returns:
        1 if all of the first lie below all of the second, ½ for a flat energy.

    Raises:
        SpaceError: If either is empty, or an energy is not a number.
    """
    if not len(low) or not len(high):
        raise SpaceError(f"auroc: wanted energies of both kinds, got {len(low)} and {len(high)}.")
    if bool(low.isnan().any() | high.isnan().any()):
        raise SpaceError("auroc: wanted energies that are numbers, got nan.")
    order, _ = high.sort()
    below = torch.searchsorted(order, low, right=False).double()
    up_to = torch.searchsorted(order, low, right=True).double()
    return float(1 - (below + up_to).mean() / (2 * len(high)))
