"""Score matching: closed forms for a Gaussian, and its three forms agree."""

import pytest
import torch
from torch import nn

from lowland.energy import Energy, Function, Network
from lowland.errors import SpaceError, StructureError
from lowland.objectives import DenoisingScoreMatching, ScoreMatching, SlicedScoreMatching
from lowland.spaces import Binary, Real


class Gaussian(Energy):
    """½(x − m)ᵀ LLᵀ (x − m)."""

    def __init__(self, dim=2):
        super().__init__(x=Real(dim))
        self.m = nn.Parameter(torch.zeros(dim))
        self.L = nn.Parameter(torch.eye(dim))

    def energies(self, x):
        return 0.5 * ((x - self.m) @ self.L).square().sum(-1)


def data(count=400):
    return torch.randn(count, 2) @ torch.tensor([[1.5, 0.0], [0.7, 0.5]]) + torch.tensor([1.0, -2.0])


def test_the_exact_loss_is_the_closed_form_of_a_quadratic():
    energy, x = Gaussian(), data()
    energy.L.data = torch.tensor([[1.0, 0.0], [0.3, 0.8]])
    precision = energy.L @ energy.L.T
    wanted = 0.5 * (x @ precision).square().sum(1).mean() - precision.trace()
    torch.testing.assert_close(ScoreMatching()(energy, {"x": x}).value, wanted)


@pytest.mark.parametrize(("objective", "tolerance"), [(ScoreMatching(), 1e-3), (SlicedScoreMatching(20), 0.1)])
def test_a_gaussian_gets_the_mean_and_covariance_of_the_data_as_by_maximum_likelihood(objective, tolerance, lowest):
    x = data()
    energy = lowest(objective, Gaussian(), {"x": x})
    torch.testing.assert_close(energy.m.data, x.mean(0), atol=tolerance, rtol=tolerance)
    covariance = torch.linalg.inv(energy.L @ energy.L.T).detach()
    torch.testing.assert_close(covariance, x.T.cov(correction=0), atol=tolerance, rtol=tolerance)


def test_denoising_finds_the_density_blurred_by_the_noise(lowest):
    x = data().repeat(50, 1)
    energy = lowest(DenoisingScoreMatching(0.5), Gaussian(), {"x": x})
    covariance = torch.linalg.inv(energy.L @ energy.L.T).detach()
    torch.testing.assert_close(covariance, x.T.cov() + 0.25 * torch.eye(2), atol=0.08, rtol=0.05)


def test_slices_guess_the_trace_without_bias():
    energy = Network(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)), x=Real(3))
    x = torch.randn(5, 3)
    whole = ScoreMatching()(energy, {"x": x}).parts["curvature"]
    guesses = torch.stack([SlicedScoreMatching()(energy, {"x": x}).parts["curvature"] for _ in range(300)])
    assert abs(guesses.mean() - whole) < 4 * guesses.std() / 300**0.5


def test_a_noise_conditional_energy_is_told_the_level():
    def energies(x, sigma):
        seen.append(sigma)
        return 0.5 * (x.square().sum(-1) / (1 + sigma.square()))

    seen = []
    energy = Function(energies, x=Real(2), sigma=Real())
    value = DenoisingScoreMatching((1.0, 0.5, 0.1))(energy, {"x": torch.randn(4000, 2)}).value
    levels = torch.cat(seen).unique()
    torch.testing.assert_close(levels, torch.tensor([0.1, 0.5, 1.0]))
    # at the true energy the loss of a level in D dimensions is ½ D / (1 + σ²)
    torch.testing.assert_close(value, (1 / (1 + levels.square())).mean(), atol=0.06, rtol=0)


def test_evaluated_without_gradients_it_is_the_same():
    energy, x = Gaussian(), data(10)
    with torch.no_grad():
        value = ScoreMatching()(energy, {"x": x}).value
    torch.testing.assert_close(value, ScoreMatching()(energy, {"x": x}).value)


def test_a_straight_energy_has_no_curvature():
    assert ScoreMatching()(Function(lambda x: x.sum(1), x=Real(2)), {"x": torch.zeros(3, 2)}).value == 1.0


def test_bad_input_is_refused():
    with pytest.raises(StructureError, match="wanted a continuous variable"):
        ScoreMatching()(Function(lambda x: x.sum(1), x=Binary(2)), {"x": torch.zeros(3, 2)})
    with pytest.raises(SpaceError, match="noise levels sigma > 0"):
        DenoisingScoreMatching((1.0, 0.0))
    with pytest.raises(StructureError, match="need an energy that is told which"):
        DenoisingScoreMatching((1.0, 0.1))(Gaussian(), {"x": torch.zeros(3, 2)})


def test_bits_have_no_slope_to_match_however_many_they_are():
    for bits in (3, 40):
        energy = Function(lambda x: x.sum(-1), x=Binary(bits))
        with pytest.raises(StructureError, match="wanted a continuous variable"):
            SlicedScoreMatching()(energy, {"x": torch.ones(2, bits)})
