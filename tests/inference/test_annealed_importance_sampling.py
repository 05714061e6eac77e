"""Annealed importance sampling beside sums over every state and integrals in closed form."""

import math

import pytest
import torch

from lowland import Real
from lowland.energy import L2, GaussianBernoulli, IndependentBits, IndependentGaussians, RestrictedBoltzmann
from lowland.errors import SpaceError, StructureError
from lowland.inference import FISTA, MALA, Gibbs, annealed_importance_sampling, log_partition
from lowland.spaces import Binary


@pytest.fixture
def machine() -> RestrictedBoltzmann:
    machine = RestrictedBoltzmann(Binary(3, 4), 8)
    with torch.no_grad():
        machine.W.normal_(0, 1)
        machine.b.normal_()
        machine.c.normal_()
        machine.z_origin.fill_(0.5)
    return machine


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_exact_sum_is_the_same_whichever_layer_goes_first(machine):
    whole = torch.logsumexp(-machine.table("x", "z").double().flatten(), 0)
    for name in ("x", "z"):
        torch.testing.assert_close(log_partition(machine.marginalize(name)), whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("solver", [None, Gibbs()])
def test_the_estimate_is_the_exact_sum(machine, generator, solver):
    energy = machine.marginalize("z")
    exact = log_partition(energy).item()
    base = IndependentBits.of(torch.bernoulli(torch.full((10, 3, 4), 0.5)))
    found = annealed_importance_sampling(energy, base, solver, chains=200, steps=200, generator=generator)
    assert abs(found.value - exact) < 0.1
    assert found.low < exact < found.high
    assert found.high - found.low < 0.3
    assert found.effective > 50
    assert found.log_weights.shape == (200,)


def test_the_interval_holds_the_exact_sum_about_as_often_as_it_says(machine, generator):
    energy = machine.marginalize("z")
    exact = log_partition(energy).item()
    base = IndependentBits(torch.zeros(3, 4), name="x", events=2)
    found = [annealed_importance_sampling(energy, base, chains=100, steps=30, generator=generator) for _ in range(40)]
    inside = sum(one.low < exact < one.high for one in found)
    assert inside >= 34
    mean = sum(math.exp(one.value - exact) for one in found) / len(found)
    assert abs(mean - 1) < 0.1  # the weights, not their logarithms, are right on average


def test_a_real_variable_is_led_by_any_sampler(generator):
    energy = 4.0 * L2(Real(3), name="x")
    found = annealed_importance_sampling(
        energy, IndependentGaussians(torch.zeros(3)), MALA(rate=0.2), chains=200, steps=60, generator=generator
    )
    assert abs(found.value - 1.5 * math.log(2 * math.pi / 4)) < 0.1


def test_real_pixels_with_hidden_bits(generator):
    machine = GaussianBernoulli.example()
    exact = log_partition(machine.marginalize("x")).item()
    found = annealed_importance_sampling(
        machine.marginalize("z"),
        IndependentGaussians(torch.zeros(3)),
        MALA(rate=0.2),
        chains=200,
        steps=60,
        generator=generator,
    )
    assert abs(found.value - exact) < 0.1
    own = annealed_importance_sampling(
        machine.marginalize("z"), machine.base, chains=200, steps=30, generator=generator
    )
    assert abs(own.value - exact) < 0.05


def test_the_likeliest_gaussians_have_the_moments_of_the_data(generator):
    x = 2 + 0.5 * torch.randn(10_000, 2, 3, generator=generator)
    base = IndependentGaussians.of(x)
    drawn = base.draw(10_000, generator)
    torch.testing.assert_close(drawn.mean(0), x.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), x.std(0), atol=0.03, rtol=0)
    normal = torch.distributions.Normal(base.mean, base.spread).log_prob(x).sum((1, 2))
    torch.testing.assert_close(-base(x=x) - base.log_partition(), normal)
    with pytest.raises(SpaceError, match="spread > 0"):
        IndependentGaussians(torch.zeros(2), 0.0)


def test_mistakes_are_sentences(machine):
    energy, base = machine.marginalize("z"), IndependentBits(torch.zeros(3, 4), name="x", events=2)
    with pytest.raises(StructureError, match="`draw` and `log_partition`"):
        annealed_importance_sampling(energy, energy)
    with pytest.raises(StructureError, match="wanted a base over x"):
        annealed_importance_sampling(energy, IndependentBits(torch.zeros(3), name="x"))
    with pytest.raises(StructureError, match="wanted a sampler"):
        annealed_importance_sampling(energy, base, FISTA())
    with pytest.raises(SpaceError, match="steps ≥ 2"):
        annealed_importance_sampling(energy, base, steps=1)
    with pytest.raises(SpaceError, match="go up from 0 to 1"):
        annealed_importance_sampling(energy, base, steps=[0.0, 0.6, 0.4, 1.0])
    with pytest.raises(StructureError, match="more than the"):
        log_partition(RestrictedBoltzmann(Binary(40), 2).marginalize("z"))
