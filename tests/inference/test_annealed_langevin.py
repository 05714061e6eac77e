"""Annealing reaches what a cold chain does not, and a noise-conditional energy is told its level."""

import pytest
import torch

from lowland.energy import Function
from lowland.errors import SpaceError
from lowland.inference import AnnealedLangevin, Langevin, noise_levels, solve
from lowland.spaces import Real

MODES = torch.tensor([[-4.0, 0.0], [4.0, 0.0]])
SIGMA = 0.3


def mixture(x, sigma=None):
    variance = SIGMA**2 + (0 if sigma is None else sigma.square().unsqueeze(-1))
    return -torch.logsumexp(-0.5 * (x.unsqueeze(-2) - MODES).square().sum(-1) / variance, -1)


def share_on_the_right(solver, energy):
    start = torch.randn(400, 2) * 0.1 + MODES[0]
    found = solve(solver, energy, start, steps=400, generator=torch.Generator().manual_seed(0)).value
    return (found[:, 0] > 0).float().mean().item()


def test_a_noise_conditional_energy_brings_chains_to_the_other_mode():
    told = Function(mixture, x=Real(2), sigma=Real()).given(sigma=torch.ones(400))
    annealed = AnnealedLangevin(0.01, noise_levels(8.0, 0.2, 8), each=50)
    assert share_on_the_right(annealed, told) == pytest.approx(0.5, abs=0.1)
    assert share_on_the_right(Langevin(0.01), Function(mixture, x=Real(2))) == 0


def test_any_other_energy_is_flattened_by_the_level():
    annealed = AnnealedLangevin(0.005, noise_levels(5.0, 0.3, 8), each=50)
    assert share_on_the_right(annealed, Function(mixture, x=Real(2))) > 0.2


def test_levels_fall_by_a_constant_ratio():
    levels = noise_levels(8.0, 1.0, 4)
    assert levels == pytest.approx((8, 4, 2, 1))
    with pytest.raises(SpaceError, match="high > low > 0"):
        noise_levels(1.0, 2.0, 3)
    with pytest.raises(SpaceError, match="falling noise levels"):
        AnnealedLangevin(0.1, (1.0, 2.0))
