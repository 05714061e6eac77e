"""What is particular to the system that watches blocks fall; that it runs at all is tested with the gallery."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lowland.data.expectations import FRAMES, GIVEN, KINDS, matched_clips
from lowland.data.expectations import SIDE as CLIP_SIDE
from lowland.data.towers import MAP_SIDE, SIDE, Towers, block_towers
from lowland.energy import Filtered, Followed, Follower, NetworkTable
from lowland.systems.control import falling_blocks
from lowland.systems.control.falling_blocks import (
    CLIP,
    LABELS,
    PICTURE,
    PLACES,
    changes,
    judged_outcomes,
    judged_pairs,
    overlap,
    surprises,
    tell,
)

pytest.importorskip("pymunk")


class Brightness(nn.Module):
    """Log odds that are the brightness of the picture, in units of ½."""

    def forward(self, x):
        odds = 8 * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack([-odds / 2, odds / 2], 1)


class Held(Follower):
    """A net of clips that believes that all stays as it was in the last given frame."""

    def forward(self, y, z):
        held = y[:, GIVEN - 1 : GIVEN].expand(-1, FRAMES - GIVEN, -1, -1, -1)
        return Followed(torch.cat([y[:, :GIVEN], held], 1), torch.zeros(y.shape[:2]))

    def find(self, y):
        return torch.zeros(*y.shape[:2], 2)


def towers_of(levels: list[int], falls: list[int]) -> Towers:
    pictures = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, SIDE, SIDE)
    empty = torch.zeros(len(levels), MAP_SIDE, MAP_SIDE, dtype=torch.int64)
    return Towers(pictures, torch.tensor(falls), empty, empty, torch.full((len(levels),), 2))


def test_outcomes_are_judged_by_answer_and_by_certainty():
    energy = NetworkTable(Brightness(), PICTURE, 2)
    found = judged_outcomes(energy, towers_of([255, 0, 140, 115], [1, 0, 0, 1]))
    assert found["accuracy"] == 50 and found["surest_half"] == 100
    sure, unsure = torch.tensor([4.0]).sigmoid().item(), torch.tensor([8 * (140 / 255 - 0.5)]).sigmoid().item()
    wanted = 50 * (1 - sure) + 50 * unsure
    assert found["calibration_error"] == pytest.approx(wanted, abs=0.6)


def test_the_answer_comes_with_its_certainty():
    energy = NetworkTable(Brightness(), PICTURE, 2)
    x = torch.tensor([1.0, 0.5, 0.0])[:, None, None, None].expand(-1, 3, SIDE, SIDE)
    y = energy.table("y", x=x).argmin(1)
    assert tell(energy, {"x": x}, SimpleNamespace(value=y)) == [
        "falls, 98 % sure",
        "stands, 50 % sure",
        "stands, 98 % sure",
    ]


def test_overlap_is_of_blocks_that_are_there():
    truth = torch.zeros(2, MAP_SIDE, MAP_SIDE, dtype=torch.int64)
    truth[0, :4, :4], truth[0, 10:12, :4] = 1, 3
    found = truth.clone()
    assert overlap(found, truth) == 100
    found[0, 10:12] = 0
    assert overlap(found, truth) == 50
    found[0, :4, :8] = 1
    assert overlap(found, truth) == 25


def test_a_mirror_shows_all_that_belongs_together():
    towers = block_towers(8, seed=1)
    batch = {"s": towers.pictures, "falls": towers.falls, "y": towers.after}
    seen = falling_blocks._either_way(batch, torch.Generator().manual_seed(0))
    turned = [torch.equal(seen["y"][row], towers.after[row].flip(-1)) for row in range(8)]
    assert 0 < sum(turned) < 8
    for row, mirror in enumerate(turned):
        picture = towers.pictures[row].float() / 255
        torch.testing.assert_close(seen["s"][row], picture.flip(-1) if mirror else picture)
    assert torch.equal(seen["falls"], towers.falls)


def test_surprise_begins_where_a_clip_departs_from_the_forecast():
    energy = Filtered(Held(), CLIP, PLACES, 0.5)
    clips = torch.full((2, FRAMES, 3, CLIP_SIDE, CLIP_SIDE), 100, dtype=torch.uint8)
    clips[1, 6:] = 151
    found = surprises(energy, clips)
    assert (found[0] == 0).all() and (found[1, :6] == 0).all()
    torch.testing.assert_close(found[1, 6:], torch.full((6,), 0.5 * 0.4**2 * 3 * CLIP_SIDE**2))
    moved = changes(clips)
    assert (moved[1] > 0).tolist() == [t == 6 for t in range(FRAMES)]


def test_pairs_are_judged_within_and_over_all():
    pairs = {f"tune {kind}": matched_clips(kind, 4, 3) for kind in KINDS}
    found = judged_pairs(Filtered(Held(), CLIP, PLACES), pairs, "tune")
    assert found["appears_absolute"] == 1.0
    assert found["vanishes_absolute"] < 0.5
    assert {f"{kind}_absolute" for kind in KINDS} < found.keys()


def test_maps_have_a_label_for_each_colour():
    assert len(LABELS) == 1 + len(falling_blocks.COLOURS)
