"""Shapes cover as much as they are large, where they are."""

import math

import pytest
import torch

from lowland.data.shapes import coverage, painted


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 2])
def test_a_box_covers_its_area_wherever_it_is_turned(angle):
    cover = coverage(torch.tensor([15.3, 16.8]), torch.tensor([6.0, 4.0]), torch.tensor(angle), (32, 32))
    assert cover.sum().item() == pytest.approx(96, rel=0.03)
    rows, columns = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    assert (cover * columns).sum().item() / cover.sum().item() == pytest.approx(15.3, abs=0.05)
    assert (cover * rows).sum().item() / cover.sum().item() == pytest.approx(16.8, abs=0.05)


def test_a_box_is_turned_clockwise():
    flat = coverage(torch.tensor([16.0, 16.0]), torch.tensor([10.0, 1.0]), torch.tensor(0.5), (32, 32))
    assert flat[20, 23] > 0.5 and flat[11, 23] == 0  # its right end is lower


def test_a_disc_has_no_corners():
    where, half, angle = torch.tensor([[8.0, 8.0]] * 2), torch.full((2, 2), 5.0), torch.zeros(2)
    disc, box = coverage(where, half, angle, (16, 16), torch.tensor([True, False]))
    assert disc.sum().item() == pytest.approx(25 * math.pi, rel=0.02)
    assert box[3, 3] == 1 and disc[3, 3] == 0


def test_paint_hides_what_is_behind():
    canvas, cover = torch.zeros(3, 4, 4), torch.zeros(4, 4)
    cover[1] = 1
    cover[2] = 0.5
    found = painted(canvas, cover, torch.tensor([1.0, 0.0, 0.5]))
    assert found[0, 1, 0] == 1 and found[0, 2, 0] == 0.5 and found[2, 1, 0] == 0.5 and (found[:, 0] == 0).all()
