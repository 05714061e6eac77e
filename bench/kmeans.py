"""K-means: twenty Lloyd steps from the same start beside scikit-learn and faiss, and where each of them ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from .timing import interleaved

SAMPLES, DIM, CENTRES, STEPS, REPEATS = 50_000, 64, 256, 20, 5
#: Largest difference of a coordinate of a centre that counts as the same.
SAME = 1e-4


def run() -> list[dict[str, Any]]:
    """A line for each peer; ``ratio`` is the peer's time over ours."""
    lines = []
    for name, features in (("noise", noise()), ("clusters", scattered())):
        start = features[torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1))[:CENTRES]].clone()
        contenders: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"lowland": ours, "plain torch": plain}
        if find_spec("sklearn"):
            contenders["scikit-learn"] = sklearn
        if find_spec("faiss"):
            contenders["faiss"] = faiss
        bound = {peer: partial(contender, features, start) for peer, contender in contenders.items()}
        times, centres = interleaved(bound, REPEATS)
        energies = {peer: _energy(features, W) for peer, W in centres.items()}
        for peer in list(contenders)[1:]:
            # Where there is nothing to find, rounding decides between centres that are equally far, and the paths part.
            same = name == "clusters"
            apart = (centres["lowland"] - centres[peer]).abs().max().item()
            ratio = times[peer] / times["lowland"]
            target = 1.0 if peer == "scikit-learn" else None
            lines.append(
                {
                    "name": f"k-means on {name}, n = {SAMPLES:,}, d = {DIM}, K = {CENTRES}, {STEPS} Lloyd steps",
                    "ours": f"{1e3 * times['lowland']:.0f} ms",
                    "peer": f"{peer} {1e3 * times[peer]:.0f} ms",
                    "value": f"energy {energies['lowland']:.6f} and {energies[peer]:.6f}",
                    "ratio": ratio,
                    "target": None if target is None else f"≥ {target}",
                    "met": None if target is None else ratio >= target and (apart <= SAME or not same),
                    "note": f"centres {apart:.0e} apart" + (f" (wanted ≤ {SAME:.0e})" if target and same else ""),
                }
            )
    return lines


def noise() -> Tensor:
    """Points of a Gaussian: nothing to find, so that many samples change their centre at every step."""
    return torch.randn(SAMPLES, DIM, generator=torch.Generator().manual_seed(0))


def scattered() -> Tensor:
    """As many overlapping clusters as centres."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(CENTRES, DIM, generator=generator)
    points = torch.randn(SAMPLES, DIM, generator=generator)
    return points + means[torch.randint(CENTRES, (SAMPLES,), generator=generator)]


def ours(features: Tensor, start: Tensor) -> Tensor:
    """`lowland.objectives.lloyd` on `lowland.energy.Clusters`."""
    from lowland.energy import Clusters
    from lowland.objectives import lloyd
    from lowland.spaces import Real

    clusters = Clusters(Real(DIM), CENTRES)
    clusters.W.data.copy_(start)
    lloyd(clusters, features, steps=STEPS)
    return clusters.W.detach()


def plain(features: Tensor, start: Tensor) -> Tensor:
    """What one writes in torch: a matrix product and an argmin for each chunk."""
    W = start.clone()
    for _ in range(STEPS):
        norms = 0.5 * W.square().sum(1)
        z = torch.cat([(norms - chunk @ W.T).argmin(1) for chunk in features.split(2048)])
        count = torch.bincount(z, minlength=CENTRES).unsqueeze(1)
        total = torch.zeros_like(W).index_add_(0, z, features)
        W = torch.where(count > 0, total / count, W)
    return W


def sklearn(features: Tensor, start: Tensor) -> Tensor:
    """``KMeans(algorithm="lloyd", tol=0)``."""
    import warnings

    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        fitted = KMeans(CENTRES, init=start.numpy(), n_init=1, max_iter=STEPS, tol=0).fit(features.numpy())
    return torch.from_numpy(fitted.cluster_centers_)


def faiss(features: Tensor, start: Tensor) -> Tensor:
    """``faiss.Kmeans``, without its subsampling."""
    import faiss as library

    settings = {"niter": STEPS, "min_points_per_centroid": 1, "max_points_per_centroid": SAMPLES}
    fitted = library.Kmeans(DIM, CENTRES, seed=0, **settings)
    fitted.train(features.numpy(), init_centroids=start.numpy())
    return torch.from_numpy(fitted.centroids)


def _energy(features: Tensor, W: Tensor) -> float:
    """Mean of min_z ½‖y − W_z‖², in double precision."""
    W = W.double()
    lowest = [torch.cdist(chunk.double(), W).amin(1) for chunk in features.split(5000)]
    return 0.5 * torch.cat(lowest).square().mean().item()


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
