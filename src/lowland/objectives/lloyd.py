"""K-means and its soft form: lower the free energy of cluster centres in closed form, a whole step at a time.

    assign   r_nz = dF(y_n) / dE(y_n, z)          one-hot for F = min_z E, the posterior for F_β
    move     W_z  = Σ_n r_nz φ(y_n) / Σ_n r_nz

Each half lowers the mean of F over the data, so the whole does; with the minimum it ends after finitely many steps. Pushes down
the data. Nothing has to push up: ∫ exp(−β F_β) dy = K (2π/β)^{D/2} whatever W is (strategy A1).

Sources: Lloyd, IEEE Trans. IT 28 (1982); Dempster, Laird & Rubin, JRSS B 39 (1977); for the starts Arthur & Vassilvitskii,
k-means++, SODA 2007, with the greedy choice among several candidates of their section 5.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..energy import Clusters, FreeEnergy, Min
from ..errors import SpaceError


@torch.no_grad()
def spread_centres(
    features: Float[Tensor, "N D"], count: int, generator: torch.Generator | None = None, candidates: int | None = None
) -> Float[Tensor, "K D"]:
    """K samples far from each other (greedy k-means++): each is drawn by its squared distance to those chosen before.

    Args:
        features: The samples φ(y).
        count: K.
        generator: Source of randomness.
        candidates: How many are drawn for each centre, of which the one that lowers the energy most is kept; 2 + log K by default.

    Raises:
        SpaceError: If there are fewer samples than centres.
    """
    if not 1 <= count <= len(features):
        raise SpaceError(
            f"spread_centres: wanted 1 to {len(features)} centres, one for each sample at most, got {count}."
        )
    candidates = candidates or 2 + int(math.log(count))
    device = features.device if generator is None else generator.device
    norms = features.square().sum(-1)

    def squared(points: Tensor) -> Tensor:
        return (norms.unsqueeze(-1) + points.square().sum(-1) - 2 * features @ points.T).clamp_min(0)

    chosen = [features[torch.randint(len(features), (1,), generator=generator, device=device).to(features.device)]]
    distance = squared(chosen[0])
    for _ in range(count - 1):
        height = distance.squeeze(-1).cumsum(0)
        drawn = torch.rand(candidates, generator=generator, device=device).to(height) * height[-1]
        points = features[torch.searchsorted(height, drawn).clamp_max(len(features) - 1)]
        closer = torch.minimum(distance, squared(points))
        best = closer.sum(0).argmin()
        chosen.append(points[best].unsqueeze(0))
        distance = closer[:, best].unsqueeze(-1)
    return torch.cat(chosen)


@torch.no_grad()
def lloyd(
    clusters: Clusters, features: Float[Tensor, "N D"], *, steps: int = 300, reduction: Min | FreeEnergy | None = None
) -> list[float]:
    """Fit the centres, in place, from where they are.

    Args:
        clusters: The energy.
        features: φ(y) for the data.
        steps: At most so many; with `Min` it stops when no sample changes its centre.
        reduction: What F is: `Min` (k-means, the default) or ``FreeEnergy(β)`` (the Gaussian mixture).

    Returns:
        The mean energy of the data after each step, in the energy's units: F_β, or with `Min` ½‖φ(y) − W_z‖² for the z of that
        step, which is F once no sample changes its centre.
    """
    reduction = reduction or Min()
    return (
        _hard(clusters, features, steps) if isinstance(reduction, Min) else _soft(clusters, features, steps, reduction)
    )


def _hard(clusters: Clusters, features: Tensor, steps: int) -> list[float]:
    history: list[float] = []
    norm = features.square().sum()
    z = None
    for _ in range(steps):
        nearest = clusters.nearest(features, z)
        if z is not None and torch.equal(z, nearest):
            break
        z = nearest
        count = torch.bincount(z, minlength=len(clusters.W))
        total = torch.zeros_like(clusters.W).index_add_(0, z, features)
        if bool((count == 0).any()):
            z, count, total = _refill(clusters, features, z, count)
        clusters.W.copy_(torch.where(count.unsqueeze(-1) > 0, total / count.unsqueeze(-1), clusters.W))
        energy = 0.5 * (norm + (clusters.W * (count.unsqueeze(-1) * clusters.W - 2 * total)).sum())
        history.append(energy.item() / len(features))
    return history


def _refill(
    clusters: Clusters, features: Tensor, z: Int64[Tensor, " N"], count: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Centres without samples get the samples that are farthest from theirs, one each."""
    empty = (count == 0).nonzero().squeeze(-1)
    far = (features - clusters.W[z]).square().sum(-1).topk(len(empty)).indices
    z = z.index_copy(0, far, empty)
    return z, torch.bincount(z, minlength=len(count)), torch.zeros_like(clusters.W).index_add_(0, z, features)


def _soft(clusters: Clusters, features: Tensor, steps: int, reduction: FreeEnergy) -> list[float]:
    history: list[float] = []
    costs = clusters.costs(features)
    for _ in range(steps):
        share = reduction.answer(costs)
        clusters.W.copy_(share.T @ features / share.sum(0).clamp_min(torch.finfo(share.dtype).tiny).unsqueeze(-1))
        costs = clusters.costs(features)
        history.append(reduction(costs).mean().item())
    return history
