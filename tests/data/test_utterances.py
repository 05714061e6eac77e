"""Strings put together from recordings of single words."""

import pytest
import torch

from lowland.data.recordings import recorded_words
from lowland.data.utterances import Clips, Utterances
from lowland.errors import UsageError

PLAIN = Utterances(rate=100, seconds=4.0, shortest=2, longest=3, pause=(0.1, 0.1), margin=0.0, fade=0.0, loudness=0.0,
                   noise=(200.0, 200.0))  # fmt: skip


def clips() -> Clips:
    """Recordings whose every sample says which they are."""
    waves = [torch.full((20 + 10 * i,), i + 1.0) for i in range(4)]
    return Clips.of(waves, torch.tensor([5, 6, 7, 8]), torch.tensor([0, 1, 0, 1]))


def test_words_follow_each_other_after_the_pause():
    drawn = PLAIN.draw(clips(), torch.arange(4), torch.Generator().manual_seed(0))
    assert drawn["x"].shape == (4, 400) and drawn["y"].shape == (4, 3)
    for first, (x, length, y) in enumerate(zip(*drawn.values(), strict=True)):
        said = [word - 5 for word in y.tolist() if word >= 0]
        assert said[0] == first and len({word % 2 for word in said}) == 1  # by one speaker
        wanted = torch.cat([torch.cat([torch.full((20 + 10 * word,), word + 1.0), torch.zeros(10)]) for word in said])[
            :-10
        ]
        assert int(length) == len(wanted)
        torch.testing.assert_close(x[: len(wanted)], wanted, atol=1e-4, rtol=0)
        assert x[len(wanted) :].abs().max() == 0


def test_words_that_would_end_too_late_are_left_out():
    short = Utterances(rate=100, seconds=0.7, shortest=3, longest=3, pause=(0.1, 0.1), margin=0.0)
    drawn = short.draw(clips(), torch.tensor([3]), torch.Generator().manual_seed(0))
    assert (drawn["y"] >= 0).sum() == 1 and drawn["length"] <= 70


def test_noise_has_the_power_asked_for():
    quiet = Utterances(rate=1000, seconds=2.0, pause=(0.0, 0.0), margin=0.0, fade=0.0, loudness=0.0, noise=(20.0, 20.0))
    waves = [torch.ones(200)]
    one = Clips.of(waves, torch.tensor([0]), torch.tensor([0]))
    drawn = quiet.draw(one, torch.zeros(50, dtype=torch.int64), torch.Generator().manual_seed(0))
    there = torch.arange(2000) < drawn["length"][:, None]
    assert (drawn["x"] - 1)[there].square().mean().item() == pytest.approx(0.01, rel=0.05)


def test_the_same_generator_draws_the_same():
    one, other = (
        Utterances(rate=100).draw(clips(), torch.arange(4), torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_some_clips_are_still_themselves():
    some = clips()[torch.tensor([False, True, False, True])]
    assert (
        some.sizes.tolist() == [30, 50] and some.wave.unique().tolist() == [2.0, 4.0] and some.labels.tolist() == [6, 8]
    )
    with pytest.raises(UsageError, match="at least one recording"):
        Clips.of([], torch.zeros(0), torch.zeros(0))


def test_made_up_recordings_are_shared_out():
    found = recorded_words("tones", 3)
    assert len(found.clips) == 36 and len(found.speakers) == 2
    assert (found.train.int() + found.validation + found.test == 1).all()
    with pytest.raises(UsageError, match="wanted fsdd, tones or a folder"):
        recorded_words("noises", 3)


@pytest.mark.data("fsdd")
def test_real_recordings_have_the_official_test_split():
    found = recorded_words("fsdd", 10)
    assert (len(found.clips), int(found.test.sum()), int(found.validation.sum())) == (3000, 300, 240)
    assert found.clips.labels[found.test].bincount().tolist() == [30] * 10
    with pytest.raises(UsageError, match="10 different words, wanted 4; set words"):
        recorded_words("fsdd", 4)
