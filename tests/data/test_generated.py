"""Data made of formulas are what they are said to be."""

import math

import pytest
import torch

from lowland.data import SOURCES, hidden_sources, lookalikes, spiral, spiral_log_density


def test_sources_are_independent_and_of_variance_one():
    sources = hidden_sources(20000, torch.Generator().manual_seed(0))
    likeness = torch.corrcoef(sources.T) - torch.eye(len(SOURCES))
    assert likeness.abs().max() < 0.05
    torch.testing.assert_close(sources.std(0), torch.ones(len(SOURCES)))


def test_points_lie_on_two_turns_of_the_spiral():
    y = spiral(2000, torch.Generator().manual_seed(0))
    radius = y.norm(dim=1)
    turns = (torch.atan2(y[:, 1], y[:, 0]) / (4 * math.pi) - radius) * 2  # whole turns, up to the noise
    far = radius > 0.3
    assert (turns - turns.round())[far].abs().max() < 0.25 and radius.max() < 1.1
    assert (radius > 0.5).float().mean() > 0.7  # as many points on each piece of the curve, more or less


def test_the_density_of_the_spiral_is_normalised_and_that_of_its_points():
    line = torch.linspace(-1.2, 1.2, 81)
    points = torch.cartesian_prod(line, line)
    assert (spiral_log_density(points).exp().sum() * 0.03**2).item() == pytest.approx(1, abs=1e-3)
    x = spiral(1000, torch.Generator().manual_seed(0))
    assert spiral_log_density(x).mean() > spiral_log_density(x + 0.02).mean() + 0.3


def test_lookalikes_have_the_mean_and_covariance():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]]) @ torch.rand(2, 500).sub(0.3).sign()
    drawn = lookalikes(x.T, 20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), x.mean(1), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), x.cov(), atol=0.1, rtol=0)
