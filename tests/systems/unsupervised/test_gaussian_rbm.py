"""What is particular to the machine with real pixels; that it runs at all is tested with the gallery."""

import math

import pytest
import torch

from lowland.data import Whitening
from lowland.errors import DataError
from lowland.systems.unsupervised.gaussian_rbm import (
    SIDE,
    Config,
    _as_long,
    build,
    data,
    embed,
    filters_of,
    gabor_like,
    log_likelihood,
)


def test_without_connections_it_is_a_gaussian():
    model = build(Config(directions=6, hidden=4, spread=0.8))
    with torch.no_grad():
        model.energy.W.zero_()
    x = torch.randn(50, 6)
    likely, interval = log_likelihood(model, x, 20, 10)
    wanted = torch.distributions.Normal(0.0, 0.8).log_prob(x).sum(1).mean().item()
    assert likely == pytest.approx(wanted, abs=1e-3)
    assert interval < 1e-3


def test_the_likelihood_is_that_of_the_mixture():
    model = build(Config(directions=3, hidden=2, spread=0.8, begin=0.0))
    with torch.no_grad():
        model.energy.W.normal_()
    states = model.energy.spaces["z"].enumerate()
    x = torch.randn(40, 3)
    with torch.no_grad():
        weights = (-model.energy.marginalize("x")(z=states)).log_softmax(0)
        each = torch.distributions.Normal(model.energy.mean("x", z=states), 0.8).log_prob(x.unsqueeze(1)).sum(-1)
    wanted = (weights + each).logsumexp(1).mean().item()
    assert log_likelihood(model, x, 500, 100)[0] == pytest.approx(wanted, abs=0.05)


def test_hidden_bits_begin_almost_always_off():
    model = build(Config(directions=20, hidden=50))
    x = torch.randn(500, 20)
    on = embed(model, {"x": x})
    assert on.shape == (500, 50)
    assert 0.02 < on.mean() < 0.12


def test_patches_are_white_and_filters_are_seen_in_pixels():
    config = Config(images="noise", patches=500, directions=8, hidden=5)
    found = data(config)
    torch.testing.assert_close(torch.cov(found.train["x"].T), torch.eye(8), atol=1e-3, rtol=0)
    assert found.test["x"].shape[1] == 8
    model, whitening = build(config), found.extra["whitening"]
    assert isinstance(whitening, Whitening)
    filters = filters_of(model, whitening)
    assert filters.shape == (5, SIDE, SIDE)
    longest = model.energy.W.norm(dim=0).argmax()
    torch.testing.assert_close(filters[0].flatten(), whitening.unmatrix @ model.energy.W.detach()[:, longest])


def test_an_edge_is_oriented_and_localised_and_noise_is_not():
    rows, columns = torch.meshgrid(torch.arange(SIDE) - 5.5, torch.arange(SIDE) - 5.5, indexing="ij")
    edge = (-(rows.square() + columns.square()) / 8).exp() * (2 * math.pi * columns / 5).cos()
    noise = torch.randn(SIDE, SIDE)
    assert gabor_like(torch.stack([edge, noise])).tolist() == [True, False]


def test_noise_is_made_as_long_as_the_patches():
    x, noise = 3 * torch.randn(7, 5), torch.randn(7, 5)
    torch.testing.assert_close(_as_long(noise, x).norm(dim=1), x.norm(dim=1))


def test_images_that_are_not_known_are_refused():
    with pytest.raises(DataError, match="wanted images among bsds500"):
        data(Config(images="holiday"))
