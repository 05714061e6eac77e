"""Words from the source package that ships them."""

import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from lowland.data import DataFile, dataset, load
from lowland.data.ocr_words import MEMBER
from lowland.errors import DataError


def package(found: dict, member: str = MEMBER) -> bytes:
    out, content = io.BytesIO(), pickle.dumps(found, 2)
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def words(**changes) -> dict:
    letters = [np.eye(2, 128, dtype=np.uint8), np.ones((3, 128), np.uint8)]
    return {"data": letters, "labels": [np.array([3, 4]), np.array([0, 1, 25])], "folds": np.array([1, 7])} | changes


def tiny(folder, edition, content: bytes):
    found = dataset("ocr_words")
    (folder / "ocr_words").mkdir(exist_ok=True)
    (folder / "ocr_words" / found.files[0].name).write_bytes(content)
    return replace(found, files=(DataFile(found.files[0].name, (edition(content),)),))


def test_words_of_different_lengths(folder, edition):
    found = tiny(folder, edition, package(words()))
    train, test = found.load("train"), found.load("test")
    assert train["x"].shape == (1, 3, 16, 8) and train["x"][0, 1, 0, 1] == 1 and train["x"][0, 2].sum() == 0
    assert train["y"].tolist() == [[3, 4, -1]] and train["length"].tolist() == [2]
    assert test["y"].tolist() == [[0, 1, 25]] and test["fold"].tolist() == [7]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (package(words(), "other.pickle"), "tar archive with"),
        (package(words())[:100], "tar archive with"),
        (b"", "tar archive with"),
        (package(words(folds=np.array([1]))), "a fold for each word"),
        (package({"data": []}), "data, labels and folds"),
    ],
)
def test_another_package_is_refused(folder, edition, content, says):
    with pytest.raises(DataError, match=says):
        tiny(folder, edition, content).load("train")


@pytest.mark.data("ocr_words")
def test_the_real_words():
    everything = load("ocr_words", "all")
    assert everything["length"].sum() == 52152 and everything["fold"].bincount().tolist()[:2] == [626, 704]
    assert len({tuple(word) for word in everything["y"].tolist()}) == 55
