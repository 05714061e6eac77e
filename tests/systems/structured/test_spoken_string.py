"""What is particular to reading spoken strings; that the system runs at all is tested with the gallery."""

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from lowland.data.recordings import recorded_words
from lowland.errors import DataError, UsageError
from lowland.systems.structured.spoken_string import Aligned, Config, _draw, build, data, read, read_strings

TINY = Config(recordings="tones", words=3, folds=2, seconds=2.0, channels=8)


def test_strings_are_drawn_anew_but_begin_with_the_recordings_of_the_batch():
    clips = recorded_words("tones", 3).clips
    first = torch.tensor([0, 8, 20])
    one, other = (_draw(TINY.utterances, clips, 9, {"clip": first}, torch.Generator().manual_seed(s)) for s in (0, 1))
    assert one["y"].shape == (3, 9) and not torch.equal(one["x"], other["x"])
    assert one["y"][:, 0].equal(clips.labels[first]) and other["y"][:, 0].equal(clips.labels[first])


def test_unseen_speakers_are_heard_by_nobody_who_reads_them():
    found = data(TINY)
    for fold in (0, 1):
        assert fold not in found.extra["pools"][f"unseen{fold}"].speakers
        assert len(found.extra["pools"][f"unseen{fold}"]) > 0
    with pytest.raises(UsageError, match="folds: wanted 2 to 2"):
        data(Config(recordings="tones", words=3, folds=3))


def test_what_follows_the_end_of_a_recording_does_not_matter():
    energy = Aligned(TINY).eval()
    x, length = torch.zeros(2, 16000), torch.tensor([8000, 8000])
    x[:, :8000] = torch.randn(8000)
    y = torch.full((1, energy.spaces["y"].length), -1)
    y[0, :2] = torch.tensor([2, 0])
    together = energy.minimize("z")(x=x, length=torch.tensor([8000, 16000]), y=y.expand(2, -1))
    torch.testing.assert_close(together[:1], energy.minimize("z")(x=x[:1], length=length[:1], y=y))


def test_both_readers_answer_with_strings():
    model, found = build(TINY).eval(), data(TINY)
    some = {name: value[:3] for name, value in found.test["all"].items()}
    for name in ("alignment", "word_models"):
        strings = read_strings(model[name], some)
        assert len(strings) == 3 and strings.min() >= -1 and strings.max() < 3


def test_a_recording_of_ones_own(tmp_path):
    wavfile.write(tmp_path / "a.wav", 16000, np.full(8000, 16384, np.int16))
    values = read([str(tmp_path / "a.wav")], TINY)
    assert values["x"].shape == (1, 16000) and values["length"].tolist() == [4000]
    wavfile.write(tmp_path / "b.wav", 8000, np.zeros(8000 * 3, np.int16))
    with pytest.raises(DataError, match=r"b\.wav: wanted at most 2\.0 s, got 3\.0 s"):
        read([str(tmp_path / "b.wav")], TINY)
