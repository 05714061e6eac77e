"""Likelihood by a grid: right for a Gaussian, and lowest at the truth."""

import math

import pytest
import torch
from torch import nn

from lowland.energy import Energy, Function
from lowland.errors import SpaceError
from lowland.objectives import GridLikelihood
from lowland.spaces import Real


class Bowl(Energy):
    """½ precision ‖x − centre‖²."""

    def __init__(self):
        super().__init__(x=Real(2))
        self.centre, self.log_precision = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))

    def energies(self, x):
        return 0.5 * self.log_precision.exp() * (x - self.centre).square().sum(-1)


def test_it_is_the_negative_log_likelihood():
    energy, x = Function(lambda x: 12.5 * x.square().sum(-1), x=Real(2)), 0.2 * torch.randn(5000, 2)
    loss = GridLikelihood(-1.5, 1.5, 60)(energy, {"x": x})
    assert loss.value.item() == pytest.approx(1 + math.log(2 * math.pi * 0.04), abs=0.04)
    assert loss.parts["log_partition"].item() == pytest.approx(math.log(2 * math.pi * 0.04), abs=1e-3)


def test_it_finds_the_gaussian_that_the_data_were_drawn_from():
    energy, x = Bowl(), torch.tensor([0.3, -0.2]) + 0.25 * torch.randn(1000, 2)
    optimizer = torch.optim.Adam(energy.parameters(), 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        GridLikelihood(-2.0, 2.0, 40)(energy, {"x": x}).value.backward()
        optimizer.step()
    assert energy.centre.tolist() == pytest.approx(x.mean(0).tolist(), abs=0.02)
    assert energy.log_precision.exp().item() == pytest.approx(1 / x.var(0).mean().item(), rel=0.1)


def test_an_empty_cube_is_refused():
    with pytest.raises(SpaceError, match="low < high"):
        GridLikelihood(1.0, 1.0)


def test_data_outside_the_cube_are_refused():
    with pytest.raises(SpaceError, match="wanted x from -1 to 1, got 0.5 to 2"):
        GridLikelihood(-1.0, 1.0, 10)(Bowl(), {"x": torch.tensor([[0.5, 0.5], [0.5, 2.0]])})
