"""Clips that are made, and pairs of which one can't be."""

import pytest
import torch

from lowland.data import expected_clips, matched_clips
from lowland.data.expectations import FRAMES, GIVEN, KINDS, SIDE, _drawn, _moved
from lowland.errors import UsageError

pytest.importorskip("pymunk")


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_the_same_until_the_violation_and_differ_after_it(kind):
    possible, impossible = matched_clips(kind, 6, 1)
    assert possible.shape == impossible.shape == (6, FRAMES, 3, SIDE, SIDE)
    assert torch.equal(possible[:, :GIVEN], impossible[:, :GIVEN])
    apart = (possible.float() - impossible.float()).abs().amax((2, 3, 4)) > 60
    assert apart[:, GIVEN:].any(1).all()


def test_what_vanishes_is_gone_and_what_appears_was_not_there():
    for kind, gone, there in (("vanishes", 1, 0), ("appears", 0, 1)):
        pair = matched_clips(kind, 5, 2)
        moving = [clips.float().std(1).amax((1, 2, 3)) for clips in pair]
        late = [clips[:, -3:].float().std(1).amax((1, 2, 3)) for clips in pair]
        assert (moving[there] > 20).all() and (late[gone] < 15).all()


def test_things_obey_the_law_of_falling_and_rest_on_the_ground():
    scenes = _moved(_drawn(60, torch.Generator().manual_seed(0)))
    fall = scenes.track[scenes.drop, :4, 1].diff(n=2, dim=1)
    assert (fall[:, :1] > 0.3).all()
    assert (scenes.track[..., 1] < scenes.floor[:, None] - scenes.radius[:, None] + 0.5).all()
    straight = ~scenes.drop & (scenes.solid[:, 2] == 0)
    steps = scenes.track[straight, :, 0].diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), atol=1e-3, rtol=0)


def test_clips_repeat_with_the_seed():
    assert torch.equal(expected_clips(5, 1), expected_clips(5, 1))
    assert not torch.equal(expected_clips(5, 1), expected_clips(5, 2))


def test_other_violations_are_refused():
    with pytest.raises(UsageError, match="vanishes, appears, changes"):
        matched_clips("explodes", 2)
