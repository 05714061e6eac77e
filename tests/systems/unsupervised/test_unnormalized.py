"""What is particular to the un-normalised estimators; that the system runs at all is tested with the gallery."""

import math

import pytest
import torch
from torch import nn

from lowland.systems.unsupervised.unnormalized import (
    MODES,
    WIDTH,
    Config,
    Sources,
    build,
    data,
    divergences,
    every,
    likelihood,
    log_probability,
    lowest,
    true_slope,
)

SMALL = Config(samples=50, unseen=20, points=20, sizes=(10, 20, 40))


def test_the_divergence_of_the_truth_from_itself_is_zero():
    model, found = build(SMALL), data(SMALL)
    torch.testing.assert_close(log_probability(model["likelihood"]).exp().sum(), torch.tensor(1.0).double())
    found.extra["log_p"] = log_probability(model["likelihood"]).detach()
    with torch.no_grad():
        kl = divergences(model, found)
    assert kl["likelihood"] == pytest.approx(0, abs=1e-9) and kl["persistent"] > 1e-4


def test_the_likelihood_is_that_of_the_table():
    machine = build(SMALL)["likelihood"]
    x = every()[[3, 77]]
    wanted = -log_probability(machine)[[3, 77]].mean()
    assert likelihood(machine.marginalize("z"), {"x": x}).value.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_step_that_ends_nowhere_finite_is_taken_back():
    cliff, bowl = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    lowest(lambda: -cliff.weight.exp().exp().sum(), cliff, 50)
    assert bool(cliff.weight.isfinite().all()) and cliff.weight.grad is None and cliff.weight.dtype == torch.float32
    assert lowest(lambda: (bowl(torch.ones(1, 1).double()) - 1).square().sum(), bowl, 20) == pytest.approx(0, abs=1e-8)


def test_the_slope_in_the_plane_is_the_gradient_of_the_mixture():
    x = torch.randn(20, 2, requires_grad=True)
    energy = -(-0.5 * (x.unsqueeze(-2) - MODES).square().sum(-1) / WIDTH**2).logsumexp(-1)
    (slope,) = torch.autograd.grad(energy.sum(), x)
    torch.testing.assert_close(true_slope(x.detach()), slope, atol=1e-4, rtol=1e-4)


def test_the_sources_energy_integrates_to_its_known_constant():
    """∫ exp(−√2 Σ|s|) ds = (2/√2)⁴ = 4 for B = 1, by one axis at a time."""
    s = torch.linspace(-20, 20, 40001)
    one = torch.trapezoid((-(2**0.5) * s.abs()).exp(), s).item()
    assert 4 * math.log(one) == pytest.approx(2 * math.log(2), abs=1e-3)
    assert Sources(3)(x=torch.ones(1, 4)).item() == pytest.approx(4 * 2**0.5)
