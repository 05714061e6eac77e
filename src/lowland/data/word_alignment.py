"""Which symbol of x each symbol of y translates: a latent pointer for each, marginalised out while a dictionary is learnt from pairs.

    p(y | x) = Π_t Σ_a p(a | t) p(y_t | x_a)          p(a | t) ∝ exp(−λ |a/S − t/T|): near the diagonal

Expectation–maximisation: the pointers' posteriors are the slopes of their free energy, and the dictionary is their counts.

Sources: Brown, Della Pietra, Della Pietra & Mercer, Computational Linguistics 19 (1993), model 1; Dyer, Chahuneau & Smith, NAACL 2013, for
the pull to the diagonal.
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from ..spaces import NOTHING


def align(
    x: Int64[Tensor, "N S"], y: Int64[Tensor, "N T"], passes: int = 5, diagonal: float = 4.0
) -> Int64[Tensor, "N T"]:
    """The place in x that each symbol of y most probably translates, −1 after its end.

    Args:
        x: Symbols, −1 after the end.
        y: Their translations.
        passes: Of expectation–maximisation.
        diagonal: λ, by how many nats a pointer from one end to the other end is dearer.
    """
    whole = y
    x, y = (part[:, : int((part != NOTHING).sum(1).max())] for part in (x, y))
    near = _near(x, y, diagonal)
    there = (y != NOTHING)[:, :, None] & (x != NOTHING)[:, None]
    pairs = y.clamp_min(0)[:, :, None] * (int(x.max()) + 1) + x.clamp_min(0)[:, None]
    kinds, pair = pairs[there].unique(return_inverse=True)
    read = kinds % (int(x.max()) + 1)
    chances = torch.ones(len(kinds))
    for _ in range(passes):
        posterior = _posterior(chances, pair, there, near)
        counts = torch.zeros_like(chances).index_add_(0, pair, posterior[there])
        chances = counts / torch.zeros(int(x.max()) + 1).index_add_(0, read, counts)[read].clamp_min(1e-12)
    best = _posterior(chances, pair, there, near).argmax(-1)
    return torch.full_like(whole, NOTHING).index_copy_(
        1, torch.arange(y.shape[1]), best.masked_fill(y == NOTHING, NOTHING)
    )


def fertilities(aligned: Int64[Tensor, "N T"], x: Int64[Tensor, "N S"], most: int) -> Int64[Tensor, "N S"]:
    """How many symbols of y translate each symbol of x; what is above ``most`` goes to neighbours, so that they add up to the length of
    y, unless that is above ``most`` times the length of x.

    Args:
        aligned: What `align` gave.
        x: Symbols, −1 after the end.
        most: F, the largest.
    """
    length = x.shape[1]
    z = torch.zeros(len(x), length + 1, dtype=torch.int64)
    z.scatter_add_(1, torch.where(aligned == NOTHING, length, aligned), torch.ones_like(aligned))
    z = z[:, :-1]
    right = [(place, place + 1) for place in range(length - 1)]
    for place, neighbour in [*right, *((b, a) for a, b in reversed(right))]:
        over = torch.where(x[:, neighbour] == NOTHING, 0, (z[:, place] - most).clamp_min(0))
        z[:, place] -= over
        z[:, neighbour] += over
    return z


def _near(x: Tensor, y: Tensor, diagonal: float) -> Tensor:
    s, t = ((part != NOTHING).sum(1).clamp_min(1)[:, None] for part in (x, y))
    at = (torch.arange(y.shape[1]) + 0.5) / t
    to = (torch.arange(x.shape[1]) + 0.5) / s
    return torch.exp(-diagonal * (at[:, :, None] - to[:, None]).abs())


def _posterior(chances: Tensor, pair: Tensor, there: Tensor, near: Tensor) -> Tensor:
    weights = torch.zeros(there.shape)
    weights[there] = chances[pair] * near[there]
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)
