"""Deskewing puts letters upright; distortions do what their amounts say, and nothing else."""

import math

import pytest
import torch

from lowland.data import deskew, load, random_affine, random_elastic


def bars(slopes, side=28):
    """Bars 3 pixels wide whose column moves by `slope` a row."""
    rows = torch.arange(side)[:, None] - (side - 1) / 2
    columns = torch.arange(side)[None] - (side - 1) / 2
    inside = (rows.abs() < 8) & ((columns - torch.tensor(slopes)[:, None, None] * rows).abs() < 2)
    return inside.float()


def moments(images):
    """Centre of mass (row, column) from the centre of the image, and the slope of the ink."""
    rows = torch.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    columns = torch.arange(images.shape[2]) - (images.shape[2] - 1) / 2
    mass = images.sum((1, 2))
    y, x = (images.sum(2) @ rows) / mass, (images.sum(1) @ columns) / mass
    dy, dx = rows - y[:, None], columns - x[:, None]
    return y, x, torch.einsum("nhw,nh,nw->n", images, dy, dx) / torch.einsum("nhw,nh->n", images, dy.square())


def test_deskewing_makes_slanted_bars_upright_and_centred():
    slanted = torch.roll(bars([-0.5, -0.2, 0.0, 0.3, 0.6]), (2, -3), (1, 2))
    before, images = slanted.clone(), deskew(slanted)
    y, x, slope = moments(images)
    assert moments(slanted)[2].abs().max() > 0.5
    assert max(y.abs().max(), x.abs().max()) < 0.05 and slope.abs().max() < 0.02
    assert torch.equal(slanted, before)
    assert torch.allclose(images.sum((1, 2)), slanted.sum((1, 2)), rtol=0.02)


def test_tall_images_are_sheared_by_as_much():
    slanted = bars([-0.3, 0.2, 0.4])[:, :, 3:25]
    assert moments(deskew(slanted))[2].abs().max() < 0.02


def test_an_upright_centred_image_is_left_alone_and_a_blank_one_stays_blank():
    upright = bars([0.0])
    assert torch.allclose(deskew(upright), upright, atol=1e-5)
    assert torch.equal(deskew(torch.zeros(2, 8, 8)), torch.zeros(2, 8, 8))
    line = torch.zeros(1, 8, 8)
    line[0, 3, 2:6] = 1
    assert deskew(line).isfinite().all() and deskew(line).sum().item() == pytest.approx(4, rel=1e-4)


def test_rows_do_not_influence_each_other():
    images = torch.rand(3, 12, 10)
    assert torch.allclose(deskew(images)[1:2], deskew(images[1:2]), atol=1e-6)


def test_amounts_of_zero_change_nothing():
    images = torch.rand(4, 9, 12)
    assert torch.allclose(random_affine(images, 0, 0, 0, 0), images, atol=1e-5)
    assert torch.allclose(random_elastic(images, strength=0), images, atol=1e-5)


@pytest.mark.parametrize("distort", [random_affine, random_elastic])
def test_distortions_repeat_with_their_generator_and_leave_the_input(distort):
    images = torch.rand(6, 14, 14)
    before = images.clone()
    one, same = (distort(images, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    other = distort(images, generator=torch.Generator().manual_seed(2))
    assert torch.equal(one, same) and not torch.allclose(one, other) and torch.equal(images, before)
    assert one.shape == images.shape and one.min() >= 0 and one.max() <= 1 + 1e-6


def test_shifts_stay_within_their_bound_and_fill_it():
    y, x, _ = moments(random_affine(bars([0.0] * 500), 0, 0, 0, shift=3.0))
    for moved in (y, x):
        assert 2.8 < moved.abs().max() <= 3.01 and moved.mean().abs() < 0.3


def test_a_rotation_turns_by_its_angle():
    _, _, slope = moments(random_affine(bars([0.0] * 500), rotation=20, scale=0, shear=0, shift=0))
    degrees = slope.atan().rad2deg()
    assert 18 < degrees.abs().max() < 21 and degrees.mean().abs() < 2


def test_a_scale_changes_the_ink_by_its_square():
    ink = random_affine(bars([0.0] * 500), 0, scale=0.2, shear=0, shift=0).sum((1, 2)) / bars([0.0]).sum()
    assert 0.6 < ink.min() < 0.7 and 1.3 < ink.max() < 1.5


def test_a_shear_slants_by_its_bound():
    _, _, slope = moments(random_affine(bars([0.0] * 500), 0, 0, shear=0.3, shift=0))
    assert 0.27 < slope.abs().max() < 0.32


def test_elastic_fields_are_smooth_and_as_strong_as_the_formula_says():
    """A field of uniform noise smoothed by σ has standard deviation 1/√3 · 1/(2σ√π) away from the border."""
    side = 64
    ramp = (torch.arange(side).float() / side).expand(50, side, side)
    moved = (random_elastic(ramp, strength=20.0, smoothness=4.0) - ramp)[
        :, 16:48, 16:48
    ] * side  # pixels, along the row
    expected = 20 / math.sqrt(3) / (2 * 4 * math.sqrt(math.pi))
    assert moved.std().item() == pytest.approx(expected, rel=0.1)
    assert moved.diff(dim=2).std().item() < 0.3 * moved.std().item()


def test_deskewing_straightens_real_digits():
    digits = load("digits", "test")["x"]
    _, _, before = moments(digits)
    _, _, after = moments(deskew(digits))
    assert after.abs().mean() < 0.3 * before.abs().mean()
