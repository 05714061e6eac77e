"""K-means and its soft form, against scikit-learn and against what they promise."""

import pytest
import torch
from sklearn.cluster import KMeans

from lowland.data import load
from lowland.energy import Clusters, FreeEnergy
from lowland.errors import SpaceError
from lowland.objectives import lloyd, spread_centres
from lowland.spaces import Real


@pytest.fixture
def digits() -> torch.Tensor:
    return load("digits", "all")["x"].flatten(1)


def fitted(features: torch.Tensor, start: torch.Tensor, **settings) -> tuple[Clusters, list[float]]:
    clusters = Clusters(Real(features.shape[1]), len(start)).to(features.dtype)
    with torch.no_grad():
        clusters.W.copy_(start)
    return clusters, lloyd(clusters, features, **settings)


def test_from_the_same_start_it_ends_where_scikit_learn_does(digits):
    start = digits[torch.randperm(len(digits))[:10]]
    clusters, history = fitted(digits, start)
    peer = KMeans(10, init=start.numpy(), n_init=1, tol=0).fit(digits.numpy())
    torch.testing.assert_close(clusters.W.detach(), torch.from_numpy(peer.cluster_centers_), atol=1e-4, rtol=0)
    assert 2 * len(digits) * history[-1] == pytest.approx(peer.inertia_, rel=1e-5)


@pytest.mark.parametrize("reduction", [None, FreeEnergy(2.0)])
def test_no_step_raises_the_free_energy(digits, reduction):
    _, history = fitted(digits.double(), digits[:10].double(), steps=60, reduction=reduction)
    falls = torch.tensor(history, dtype=torch.float64).diff()
    assert (falls <= 1e-12).all() and falls[0] < -0.01


def test_it_stops_when_nothing_moves_and_reports_where_it_is(digits):
    clusters, history = fitted(digits, digits[:10], steps=500)
    assert len(history) < 500
    assert history[-1] == pytest.approx(clusters.minimize("z")(y=digits).mean().item(), rel=1e-5)


def test_a_cold_mixture_ends_where_k_means_does(digits):
    hard, _ = fitted(digits, digits[:10], steps=500)
    soft, _ = fitted(digits, digits[:10], steps=500, reduction=FreeEnergy(1e4))
    assert (hard.nearest(digits) == soft.nearest(digits)).float().mean() > 0.999


def test_a_centre_without_samples_gets_the_farthest_one():
    features = torch.tensor([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [0.0, 0.1]])
    clusters, _ = fitted(features, torch.tensor([[0.0, 0.0], [90.0, 90.0]]), steps=10)
    assert sorted(clusters.nearest(features).bincount().tolist()) == [1, 3]


def test_starts_are_samples_and_lie_farther_apart_than_random_ones(digits):
    starts = spread_centres(digits, 10, torch.Generator().manual_seed(0))
    assert (torch.cdist(starts, digits).amin(1) < 1e-3).all()
    drawn = digits[torch.randperm(len(digits))[:10]]
    energy = [torch.cdist(digits, one).square().amin(1).mean() for one in (starts, drawn)]
    assert energy[0] < 0.9 * energy[1]


def test_far_clusters_are_each_found_by_the_starts():
    centres = 100.0 * torch.eye(6)
    features = (centres[torch.arange(600) % 6] + torch.randn(600, 6))[torch.randperm(600)]
    starts = spread_centres(features, 6, torch.Generator().manual_seed(1))
    assert sorted(torch.cdist(starts, centres).argmin(1).tolist()) == [0, 1, 2, 3, 4, 5]


def test_more_centres_than_samples_are_refused():
    with pytest.raises(SpaceError, match="wanted 1 to 3 centres"):
        spread_centres(torch.randn(3, 2), 4)
