"""Gabor functions are recognised as such; noise, gratings and spots are told apart from them."""

import math

import pytest
import torch
from torch import Tensor

from lowland.data.gabor import fit_gabors, orientation_selectivity, spread

SIDE = 12


def gabors(count: int, width: float = 1.8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    angle, phase = math.pi * torch.rand(2, count, 1, 1, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(SIDE) - 5.3, torch.arange(SIDE) - 6.1, indexing="ij")
    along = rows * angle.sin() + columns * angle.cos()
    return (-0.5 * (rows**2 + columns**2) / width**2).exp() * (2 * math.pi * 0.2 * along + 2 * phase).cos()


def noise(count: int) -> Tensor:
    return torch.randn(count, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def spots(count: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE) - 5.5, torch.arange(SIDE) - 5.5, indexing="ij")
    square = rows**2 + columns**2
    return ((-square / 4).exp() - 0.3 * (-square / 12).exp()).expand(count, SIDE, SIDE)


def test_gabor_functions_are_explained():
    assert fit_gabors(gabors(12)).min() > 0.98


def test_noise_is_not():
    assert fit_gabors(noise(12), steps=150).max() < 0.4


def test_an_edge_detector_is_selective_and_a_spot_is_not():
    assert orientation_selectivity(gabors(12)).min() > 0.5
    assert orientation_selectivity(spots(2)).max() < 0.1


def test_the_energy_of_a_gabor_function_is_in_one_place():
    assert spread(gabors(12)).max() < 0.4
    assert spread(noise(12)).min() > 0.6
    assert spread(torch.ones(1, SIDE, SIDE)).item() > 0.9


@pytest.mark.parametrize("measure", [orientation_selectivity, spread, fit_gabors])
def test_contrast_does_not_matter(measure):
    torch.testing.assert_close(measure(7 * gabors(3)), measure(gabors(3)), atol=1e-2, rtol=0)
