"""Spoken digits from WAV files in a zip."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import wavfile

from lowland.data import DataFile, dataset
from lowland.errors import DataError


def tiny(folder, edition, *names: str):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for size, name in enumerate(names, 10):
            wave = io.BytesIO()
            wavfile.write(wave, 8000, np.full(size, 16384, np.int16))
            archive.writestr(f"recordings/{name}.wav", wave.getvalue())
    (folder / "fsdd").mkdir(exist_ok=True)
    (folder / "fsdd" / "recordings.zip").write_bytes(out.getvalue())
    return replace(dataset("fsdd"), files=(DataFile("recordings.zip", (edition(out.getvalue()),)),))


def test_the_first_five_of_each_are_the_test_split(folder, edition):
    found = tiny(folder, edition, "3_theo_4", "3_theo_5", "7_lucas_12")
    train, test = found.load("train"), found.load("test")
    assert [len(wave) for wave in test["x"]] == [10] and [len(wave) for wave in train["x"]] == [11, 12]
    assert test["x"][0].unique().tolist() == [0.5]
    assert (train["y"].tolist(), train["speaker"].tolist(), train["take"].tolist()) == ([3, 7], [4, 2], [5, 12])


def test_a_stranger_is_named(folder, edition):
    with pytest.raises(DataError, match="3_bob_4.wav is by none of the speakers"):
        tiny(folder, edition, "3_bob_4").load("all")
