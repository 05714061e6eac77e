"""What vectors know: whether what belongs together lies together, and whether differences mean the same everywhere.

Sources: Mikolov, Yih & Zweig, NAACL 2013, for analogies; Levy & Goldberg, CoNLL 2014, eq. 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import normalize


def nearness(vectors: Float[Tensor, "V D"], pairs: Int64[Tensor, "M two"], among: Bool[Tensor, " V"]) -> float:
    """The share of ``among`` whose directions differ more from that of one of a pair than the other's does: mean over pairs, both ways.

    ½ for vectors that know nothing.
    """
    directions = normalize(vectors, dim=1)
    near = directions[pairs.T.flatten()] @ directions[among].T
    own = (directions[pairs[:, 0]] * directions[pairs[:, 1]]).sum(1).repeat(2)
    return (near < own[:, None]).float().mean().item()


def analogies(
    vectors: Float[Tensor, "V D"],
    families: Sequence[Int64[Tensor, "M two"]],
    among: Bool[Tensor, " V"],
    turns: int = 10,
) -> float:
    """The share of a : b :: c : ? where d has the direction nearest to b − a + c among all but a, b and c; 0 if there are no questions.

    Args:
        vectors: Of each word.
        families: Lists of pairs (a, b) that are related in the same way; each is asked with the next ``turns`` of its list as (c, d).
        among: Which words may answer.
        turns: See above.
    """
    directions, right = normalize(vectors, dim=1), []
    for pairs in families:
        a, b = pairs.T
        for turn in range(1, min(turns + 1, len(pairs))):
            c, d = pairs.roll(-turn, 0).T
            near = (directions[b] - directions[a] + directions[c]) @ directions.T
            near.masked_fill_(~among, -torch.inf).scatter_(1, torch.stack([a, b, c], 1), -torch.inf)
            right.append(near.argmax(1) == d)
    return torch.cat(right).float().mean().item() if right else 0.0
