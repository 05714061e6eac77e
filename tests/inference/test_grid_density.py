"""The density of an energy in the plane: its partition function, the inverse temperature that suits data, what lies as low as they do."""

import math

import pytest
import torch

from lowland.energy import Function
from lowland.errors import SpaceError
from lowland.inference import GridDensity, grid_points
from lowland.spaces import Real

SIGMA = 0.2


@pytest.fixture
def bowl() -> Function:
    return Function(lambda x: x.square().sum(-1), x=Real(2))


@pytest.fixture
def x() -> torch.Tensor:
    return SIGMA * torch.randn(4000, 2)


def test_the_points_are_the_middles_of_cells():
    assert grid_points(-1.0, 1.0, 2).tolist() == [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]
    assert grid_points(0.0, 3.0, 3, dim=1).tolist() == [[0.5], [1.5], [2.5]]


def test_the_partition_function_of_a_gaussian(bowl):
    density = GridDensity(bowl, -3.0, 3.0, 60)
    for beta in (2.0, 10.0):
        assert density.log_partition(beta) == pytest.approx(math.log(math.pi / beta), abs=1e-6)


def test_the_inverse_temperature_that_suits_is_that_of_the_data(bowl, x):
    density = GridDensity(bowl, -1.5, 1.5, 100)
    beta = density.suit(x)
    assert beta == pytest.approx(0.5 / SIGMA**2, rel=0.05)
    wanted = -1 - math.log(2 * math.pi * SIGMA**2)
    assert density.log_probability(x, beta).mean().item() == pytest.approx(wanted, abs=0.03)
    best = density.log_probability(x, beta).mean()
    assert best > density.log_probability(x, 1.1 * beta).mean() and best > density.log_probability(x, 0.9 * beta).mean()


def test_what_lies_as_low_as_the_data(bowl, x):
    circle = math.pi * SIGMA**2 * 2 * math.log(20)  # that holds 95 % of a Gaussian
    assert GridDensity(bowl, -1.5, 1.5, 200).low_share(x) == pytest.approx(circle / 9, rel=0.06)


def test_a_flat_energy_has_the_likelihood_of_the_square_and_all_of_it_is_low(x):
    density = GridDensity(Function(lambda x: 0 * x.sum(-1), x=Real(2)), -1.5, 1.5, 20)
    assert density.suit(x) == 0 and density.low_share(x) == 1
    assert density.log_probability(x, 0.0).mean().item() == pytest.approx(-2 * math.log(3))


def test_data_that_lie_high_are_suited_by_no_temperature(x):
    assert GridDensity(Function(lambda x: -x.square().sum(-1), x=Real(2)), -1.5, 1.5, 20).suit(x) == 0


def test_draws_have_the_spread_of_the_density(bowl):
    drawn = GridDensity(bowl, -1.5, 1.5, 100).sample(5000, 0.5 / SIGMA**2, torch.Generator().manual_seed(0))
    assert drawn.std(0).tolist() == pytest.approx([SIGMA, SIGMA], rel=0.05)


def test_four_numbers_are_too_many():
    with pytest.raises(SpaceError, match="one to three numbers"):
        GridDensity(Function(lambda x: x.sum(-1), x=Real(4)), -1.0, 1.0, 5)
