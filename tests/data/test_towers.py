"""Towers that are made: physics holds, and pictures show what was simulated."""

import pytest
import torch

from lowland.data import block_towers
from lowland.data.towers import COLOURS, MAP_SIDE, MOVED, SIDE, _settled
from lowland.errors import UsageError

pytest.importorskip("pymunk")


@pytest.mark.parametrize(("across", "falls"), [(0.0, False), (0.4, False), (0.46, False), (0.54, True), (0.7, True)])
def test_a_block_falls_when_its_middle_is_over_the_edge(across, falls):
    places = torch.tensor([[0.0, 0.25], [across, 0.75]])
    end = _settled(torch.tensor([[1.0, 0.5]] * 2), places, 0.6)
    assert bool((end[:, :2] - places).norm(dim=1).max() > MOVED) is falls


def test_a_block_above_may_hold_one_that_overhangs():
    sizes = torch.tensor([[1.0, 0.5], [1.0, 0.5], [1.0, 0.5]])
    alone = _settled(sizes[:2], torch.tensor([[0.0, 0.25], [0.6, 0.75]]), 0.6)
    held = _settled(sizes, torch.tensor([[0.0, 0.25], [0.6, 0.75], [0.15, 1.25]]), 0.6)
    assert alone[1, 1] < 0.5 and held[1, 1] == pytest.approx(0.75, abs=0.05)


def test_towers_are_balanced_and_repeat_with_the_seed():
    one, same, other = block_towers(24, seed=3), block_towers(24, seed=3), block_towers(24, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.pictures, other.pictures)
    for blocks in (2, 3, 4):
        falls = one.falls[one.blocks == blocks]
        assert len(falls) == 8 and falls.sum() == 4
    assert one.pictures.shape == (24, 3, SIDE, SIDE) and one.pictures.dtype == torch.uint8
    assert one.after.shape == (24, MAP_SIDE, MAP_SIDE)


def test_maps_are_of_what_the_picture_shows():
    towers = block_towers(30, seed=5)
    stands = towers.falls == 0
    assert ((towers.now != towers.after)[stands].float().mean() < 0.01).all()
    assert ((towers.now != towers.after)[~stands].flatten(1).float().mean(1) > 0.01).all()
    small = torch.nn.functional.avg_pool2d(towers.pictures.float() / 255, 2)
    for number, colour in enumerate(COLOURS, 1):
        where = towers.now == number
        assert (small.movedim(1, -1)[where].median(0).values - colour).abs().max() < 0.1
    assert (towers.now.flatten(1).sort(1).values.diff(dim=1) > 0).sum(1).eq(towers.blocks).all()


def test_a_push_brings_down_what_stands():
    towers = block_towers(20, seed=6, pushed=True)
    assert towers.falls.float().mean() > 0.6


@pytest.mark.parametrize("blocks", [(), (1,), (2, 9)])
def test_other_numbers_of_blocks_are_refused(blocks):
    with pytest.raises(UsageError, match="towers of 2 to 5 blocks"):
        block_towers(4, blocks)
