"""Adult (census income): does a person earn more than 50,000 dollars a year? Text files, one person a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import unzipped

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
    "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
)  # fmt: skip
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
WORDS = tuple(column for column in COLUMNS[:-1] if column not in NUMBERS)
FILES = {"train": "adult.data.gz", "test": "adult.test.gz"}
UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"


def _load(find: Find, split: str) -> dict[str, Any]:
    words, path = find("adult.data.gz"), find(FILES[split])
    train = _rows(words)  # the vocabulary and the units of both splits are those of the train part
    rows = train if split == "train" else _rows(path)
    reference, numbers = _numbers(train, words), _numbers(rows, path)
    vocabulary = [sorted({row[COLUMNS.index(word)] for row in train}) for word in WORDS]
    categories = _categories(rows, vocabulary, path)
    indicators = [one_hot(column, len(words)) for column, words in zip(categories.T, vocabulary, strict=True)]
    standard = (numbers - reference.mean(0)) / reference.std(0).clamp_min(1e-6)
    return {
        "x": torch.cat([standard, *indicators], dim=1),
        "numbers": numbers,
        "categories": categories,
        "y": torch.tensor([row[-1].startswith(">") for row in rows]).long(),
    }


def _rows(path: Path) -> list[list[str]]:
    """The fields of each person; the first line of the test part is a comment, and its incomes end in a full stop."""
    text = unzipped(path).decode("utf-8", errors="replace")
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("|"):
            continue
        fields = [part.strip() for part in line.split(",")]
        if len(fields) != len(COLUMNS) or fields[-1].rstrip(".") not in ("<=50K", ">50K"):
            raise DataError(
                f"{path}, line {number}: wanted {len(COLUMNS)} fields, the last <=50K or >50K; got {line[:60]!r}."
            )
        rows.append(fields)
    if not rows:
        raise DataError(f"{path}: wanted one person a line; there are none.")
    return rows


def _numbers(rows: list[list[str]], path: Path) -> Tensor:
    """``(N, 6)`` float32: the columns that are numbers."""
    columns = []
    for name in NUMBERS:
        fields = [row[COLUMNS.index(name)] for row in rows]
        wrong = next((field for field in fields if not field.lstrip("-").isdecimal()), None)
        if wrong is not None:
            raise DataError(f"{path}: wanted a whole number for {name}, got {wrong!r}.")
        columns.append(torch.tensor(list(map(float, fields))))
    return torch.stack(columns, 1)


def _categories(rows: list[list[str]], vocabulary: list[list[str]], path: Path) -> Tensor:
    """``(N, 8)`` int64: the columns that are words, as places in the vocabulary."""
    columns = []
    for name, words in zip(WORDS, vocabulary, strict=True):
        places = {word: place for place, word in enumerate(words)}
        fields = [row[COLUMNS.index(name)] for row in rows]
        if unknown := set(fields) - set(places):
            raise DataError(f"{path}: wanted for {name} a word of the train part, got {min(unknown)!r}.")
        columns.append(torch.tensor([places[field] for field in fields]))
    return torch.stack(columns, 1)


ADULT = Dataset(
    name="adult",
    what="Census records of 1994: 6 numbers and 8 words about a person; does the income exceed $50,000 (24 % do)?",
    shapes={
        "x": "(N, 108) float32: numbers standardised by the train part, then words as indicators ('?' is one)",
        "numbers": "(N, 6) float32, in the units of the source: " + ", ".join(NUMBERS),
        "categories": "(N, 8) int64, the word's place in the alphabet of the train part: " + ", ".join(WORDS),
        "y": "(N,) int64: 1 where the income exceeds $50,000",
    },
    splits={"train": 32561, "test": 16281},
    source="B. Becker and R. Kohavi, from the U.S. Census Bureau; UCI Machine Learning Repository.",
    licence="CC BY 4.0 (UCI).",
    citation="Kohavi, KDD (1996).",
    loader=_load,
    files=(
        DataFile(
            "adult.data.gz",
            (
                Edition(409_337, "fb9b6b419c38dd70d75d31f014b7f0905bf76e9625473c593455e31679a93184"),
                Edition(
                    3_974_305,
                    "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
                    (UCI + "adult.data",),
                    name="adult.data",
                ),
            ),
        ),
        DataFile(
            "adult.test.gz",
            (
                Edition(205_510, "5dd8e51005f6a86e42f058d66a957721196362cf8e8dde3efc8508532af4a083"),
                Edition(
                    2_003_153,
                    "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
                    (UCI + "adult.test",),
                    name="adult.test",
                ),
            ),
        ),
    ),
    classes=("<=50K", ">50K"),
)
