"""Recordings of single words by several speakers, split for training, tuning and judging.

fsdd        the Free Spoken Digit Dataset; its own test split
tones       made up: a word is a row of tones, a speaker a pitch; for trying things out
a folder    one's own: see `sound_folder`; every fifth recording is for judging
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from ..errors import UsageError
from .registry import dataset
from .sound import sound_folder
from .utterances import Clips

RATE = 8000
VALIDATION_TAKES = 4  # of each speaker's recordings of a digit


class Recordings(NamedTuple):
    """What `recorded_words` gives.

    Attributes:
        clips: All of them.
        train: Which of them are for training.
        validation: Which are held out for tuning.
        test: Which are for judging.
        sources: What was read, as a result records it.
        classes: The words.
        speakers: Who speaks.
    """

    clips: Clips
    train: Bool[Tensor, " N"]
    validation: Bool[Tensor, " N"]
    test: Bool[Tensor, " N"]
    sources: dict[str, dict[str, Any]]
    classes: tuple[str, ...]
    speakers: tuple[str, ...]


def recorded_words(source: str, words: int) -> Recordings:
    """Recordings at 8,000 samples per second.

    Args:
        source: ``fsdd``, ``tones`` or a folder.
        words: How many different words there must be.

    Raises:
        UsageError: For a source that is none of these, or another number of words.
        DataError: If files are missing or bad.
    """
    if source == "fsdd":
        found = _fsdd()
    elif source == "tones":
        found = _tones(words)
    elif Path(source).is_dir():
        found = _folder(source)
    else:
        raise UsageError(f"recorded_words: wanted fsdd, tones or a folder with labels.csv, got {source!r}.")
    if len(found.classes) != words:
        raise UsageError(
            f"recorded_words: {source} has {len(found.classes)} different words, wanted {words}; set words."
        )
    return found


def _fsdd() -> Recordings:
    from .fsdd import HELD_OUT, SPEAKERS

    described = dataset("fsdd")
    found = described.load("all")
    take = found["take"]
    test, validation = take < HELD_OUT, (take >= HELD_OUT) & (take < HELD_OUT + VALIDATION_TAKES)
    clips = Clips.of(found["x"], found["y"], found["speaker"])
    sources = {"fsdd": described.record("train", "test")}
    return Recordings(clips, ~test & ~validation, validation, test, sources, described.classes, SPEAKERS)


def _folder(source: str) -> Recordings:
    found = sound_folder(source, RATE)
    place = torch.arange(len(found["x"]))
    test, validation = place % 5 == 4, place % 10 == 0
    clips = Clips.of(found["x"], found["y"], found["speaker"])
    sources = {Path(source).name: {"split": "all", "samples": len(place), "sha256": {}}}
    return Recordings(clips, ~test & ~validation, validation, test, sources, found["classes"], found["speakers"])


def _tones(words: int, speakers: int = 2, takes: int = 6, seconds: float = 0.24) -> Recordings:
    """Each word is three tones, a different row of them for each; each recording has its own length, speed and phase."""
    generator = torch.Generator().manual_seed(0)
    size = round(seconds * RATE)
    waves, labels, voices = [], [], []
    for speaker in range(speakers):
        for word in range(words):
            heights = [
                400.0 * 1.25 ** ((word * step + 2 * part) % 7 + speaker / 2) for part, step in enumerate((1, 3, 5))
            ]
            for _ in range(takes):
                length = round(size * (0.8 + 0.4 * torch.rand((), generator=generator).item()))
                height = torch.tensor(heights).repeat_interleave(math.ceil(length / 3))[:length]
                waves.append(0.3 * torch.sin(2 * math.pi * height.cumsum(0) / RATE))
                labels.append(word)
                voices.append(speaker)
    take = torch.arange(len(waves)) % takes
    clips = Clips.of(waves, torch.tensor(labels), torch.tensor(voices))
    sources = {"tones": {"split": "all", "samples": len(waves), "sha256": {}}}
    classes, names = tuple(map(str, range(words))), tuple(f"voice {speaker}" for speaker in range(speakers))
    return Recordings(clips, take > 1, take == 1, take == 0, sources, classes, names)
