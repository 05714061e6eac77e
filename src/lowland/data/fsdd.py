"""Free Spoken Digit Dataset: 3,000 recordings of single digits by six speakers, as WAV files in a zip."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members
from .sound import decode_wav

RATE = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
HELD_OUT = 5  # of each speaker's fifty recordings of a digit, the first ones are the test split


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("recordings.zip")
    clips, labels = [], []
    for name, content in read_members(path, ".wav").items():
        digit, speaker, take = name.rsplit("/", 1)[-1].removesuffix(".wav").split("_")
        if speaker not in SPEAKERS:
            raise DataError(f"{path}: {name} is by none of the speakers {', '.join(SPEAKERS)}.")
        if (int(take) < HELD_OUT) == (split == "test") or split == "all":
            clips.append(decode_wav(content, f"{path}/{name}", RATE))
            labels.append((int(digit), SPEAKERS.index(speaker), int(take)))
    y, speaker, take = torch.tensor(labels, dtype=torch.int64).T
    return {"x": clips, "y": y, "speaker": speaker, "take": take}


FSDD = Dataset(
    name="fsdd",
    what="Spoken English digits, each cut out of its recording, at 8,000 samples per second. The test split is the first five "
    "recordings of each digit by each speaker.",
    shapes={
        "x": "list of (T,) float32 in [−1, 1]: waves, 0.14 to 2.3 s",
        "y": "(N,) int64: the digit",
        "speaker": "(N,) int64: " + ", ".join(SPEAKERS),
        "take": "(N,) int64: which of the speaker's fifty recordings of the digit",
    },
    splits={"train": 2700, "test": 300, "all": 3000},
    source="Z. Jackson and others, github.com/Jakobovski/free-spoken-digit-dataset; the folder recordings, zipped.",
    licence="CC BY-SA 4.0.",
    citation="Jackson, Souza, Flaks, Pan, Nicolas & Thite, Free Spoken Digit Dataset, v1.0.10, doi:10.5281/zenodo.1342401 (2018).",
    loader=_load,
    files=(
        DataFile(
            "recordings.zip",
            (Edition(16_161_380, "8e1e44a06ea9d154aa314276028b6851cdf0bead7ad196db67b9aadb78191e05"),),
        ),
    ),
    classes=tuple("0123456789"),
)
