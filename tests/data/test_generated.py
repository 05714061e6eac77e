"""Data made of formulas are what they are said to be."""

import math

import torch

from lowland.data import SOURCES, hidden_sources, spiral


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
