"""Whether two numbers put samples in the same order: Spearman's rank correlation.

Source: Spearman, American Journal of Psychology 15 (1904).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SpaceError


@torch.no_grad()
def rank_correlation(one: Float[Tensor, " N"], other: Float[Tensor, " M"]) -> float:
    """The correlation of the ranks: 1 for the same order, −1 for the opposite one, 0 where one says nothing of the other.

    Values that tie share the mean of their ranks; where all of one are equal nothing is said, and the answer is 0.

    Args:
        one: ``(N,)``, at least two.
        other: The same samples by another measure.

    Raises:
        SpaceError: If there are fewer than two, not as many of each, or one is not a number.
    """
    if one.shape != other.shape or one.ndim != 1 or len(one) < 2:
        raise SpaceError(
            f"rank_correlation: wanted two numbers for each of at least 2 samples, got {tuple(one.shape)} and {tuple(other.shape)}."
        )
    if bool((one.isnan() | other.isnan()).any()):
        raise SpaceError("rank_correlation: wanted numbers, got nan.")
    ranks = torch.stack([_ranks(part) for part in (one, other)])
    ranks = ranks - ranks.mean(1, keepdim=True)
    norms = ranks.norm(dim=1).prod()
    return float(ranks[0] @ ranks[1] / norms) if norms > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    order = values.sort().values
    return (torch.searchsorted(order, values) + torch.searchsorted(order, values, right=True)).double() / 2
