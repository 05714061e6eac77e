"""NCE learns the energy and its log partition function; its error falls as one over the number of samples."""

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, Uniform

from lowland.energy import Constant, Energy, Function
from lowland.errors import SpaceError
from lowland.objectives import NoiseContrastive
from lowland.spaces import Real


class Precision(Energy):
    """½ k x², whose log partition function is ½ log(2π / k)."""

    def __init__(self):
        super().__init__(x=Real(1))
        self.k = nn.Parameter(torch.ones(()))

    def energies(self, x):
        return 0.5 * self.k * x.square().sum(-1)


@pytest.fixture
def estimate(lowest):
    """``estimate(count)``: k and log Z from so many samples of k = 2."""

    def estimate(count):
        torch.manual_seed(count)
        energy = Precision() + Constant()
        noise = Independent(Normal(torch.zeros(1), 1.5 * torch.ones(1)), 1)
        lowest(NoiseContrastive(noise, ratio=5), energy, {"x": torch.randn(count, 1) / 2**0.5})
        return energy.terms[0].k.item(), energy.terms[1].constant.item()

    return estimate


def test_it_finds_the_precision_and_log_z_of_a_gaussian(estimate):
    k, c = estimate(20_000)
    assert k == pytest.approx(2.0, abs=0.08)
    assert c == pytest.approx(0.5 * torch.log(torch.tensor(torch.pi)).item(), abs=0.03)


def test_the_squared_error_falls_as_one_over_the_samples(estimate):
    few, many = (
        torch.tensor([(estimate(count + i)[0] - 2) ** 2 for i in range(24)]).mean() * count for count in (200, 3200)
    )
    assert 0.4 < many / few < 2.5  # over a sixteenfold of samples


def test_on_bits_the_optimum_is_that_of_maximum_likelihood(boltzmann, truth, lowest):
    noise = Independent(Bernoulli(torch.full((4,), 0.5)), 1)
    energy = lowest(NoiseContrastive(noise, ratio=2), boltzmann() + Constant(), {"x": truth.population(20_000)})
    assert truth.difference(energy.terms[0]) < 0.15
    exact = torch.logsumexp(-truth(x=truth.spaces["x"].enumerate()), 0)
    assert energy.terms[1].constant.item() == pytest.approx(exact.item(), abs=0.1)


def test_noise_that_is_impossible_where_data_lie_is_refused():
    energy = Function(lambda x: x.square().sum(-1), x=Real(2))
    noise = Independent(Uniform(-torch.ones(2), torch.ones(2), validate_args=False), 1)
    with pytest.raises(SpaceError, match="density 0 at 1 of 3 samples of x, the first at index 1"):
        NoiseContrastive(noise)(energy, {"x": torch.tensor([[0.0, 0.0], [0.0, 1.5], [0.2, 0.3]])})


def test_noise_of_the_wrong_shape_is_refused():
    energy = Function(lambda x: x.square().sum(-1), x=Real(2))
    with pytest.raises(SpaceError, match=r"events of shape \(2,\)"):
        NoiseContrastive(Independent(Normal(torch.zeros(3), torch.ones(3)), 1))(energy, {"x": torch.zeros(3, 2)})
    with pytest.raises(SpaceError, match="Independent"):
        NoiseContrastive(Normal(torch.zeros(2), torch.ones(2)))(energy, {"x": torch.zeros(3, 2)})
