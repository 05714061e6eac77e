"""What is particular to the k-means system; that it runs at all is tested with the gallery."""

import math

import pytest
import torch

from lowland.data import spiral
from lowland.energy import Clusters, PrincipalComponents
from lowland.objectives import principal_components
from lowland.spaces import Real
from lowland.systems.unsupervised.kmeans import (
    IMAGE,
    Config,
    Products,
    Upright,
    _matched,
    build,
    low_volume,
    tell,
)


def test_the_share_of_low_energy_is_that_of_a_disc():
    """Data spread evenly over a disc around the only centre: 95 % of the disc lies as low as 95 % of the data."""
    energy = Clusters(Real(2), 1)
    with torch.no_grad():
        energy.W.zero_()
    radius, angle = 0.8 * torch.rand(20000).sqrt(), 2 * math.pi * torch.rand(20000)
    y = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    with torch.no_grad():
        share = low_volume(energy.minimize("z"), y, side=1.0)
    assert share == pytest.approx(0.95 * math.pi * 0.64 / 4, rel=0.02)


def test_a_latent_as_large_as_the_observation_makes_all_of_it_low():
    energy = PrincipalComponents(Real(2), 2)
    y = spiral(500, torch.Generator().manual_seed(0))
    with torch.no_grad():
        principal_components(energy, y)
        assert low_volume(energy.minimize("z"), y, resolution=50) == 1.0


def test_clusters_get_the_names_that_agree_with_most_labels_one_to_one():
    counts = torch.eye(10).roll(3, 1) * 5
    counts[0] = torch.tensor([9.0, 8, 0, 0, 0, 0, 0, 0, 0, 0])
    counts[7] = torch.tensor([7.0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    names = _matched(counts)
    assert names[0] == 1 and names[7] == 0 and names.unique().numel() == 10
    spare = torch.cat([counts, counts[:1]])
    assert _matched(spare)[10] == 0 or _matched(spare)[0] == 0


def test_products_are_standardised_and_all_there():
    x = torch.rand(500, 28, 28)
    components = PrincipalComponents(IMAGE, 4)
    principal_components(components, x)
    products = Products(4)
    products.fit(components, x)
    features = products(x)
    assert features.shape == (500, 4 + 10)
    torch.testing.assert_close(features.mean(0), torch.zeros(14), atol=1e-3, rtol=0)
    torch.testing.assert_close(features.std(0), torch.ones(14), atol=1e-3, rtol=0)
    raw = features * products.spread + products.centre
    torch.testing.assert_close(raw[:, 4 + 1], raw[:, 0] * raw[:, 1], atol=1e-3, rtol=1e-3)


def test_upright_images_have_length_one_and_no_ink_stays_no_ink():
    features = Upright()(torch.cat([torch.rand(3, 28, 28), torch.zeros(1, 28, 28)]))
    torch.testing.assert_close(features.norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 0.0]))


def test_an_answer_is_told_with_its_digit():
    energy = build(Config())["kmeans"]
    energy.digit.copy_(torch.arange(10).flip(0))
    solution = type("Solution", (), {"value": torch.tensor([2])})()
    assert tell(energy, {}, solution) == ["cluster 2, matched with the digit 7"]
