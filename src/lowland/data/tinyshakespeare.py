"""Tiny Shakespeare: a megabyte of his plays, for models of characters."""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import unzipped

#: The first nine tenths are for training, as in the language models that are compared on it.
_SHARE = 0.9


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("input.txt.gz")
    try:
        text = unzipped(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: wanted UTF-8 ({error}).") from None
    cut = int(_SHARE * len(text))
    return {"text": [{"train": text[:cut], "test": text[cut:], "all": text}[split]]}


TINYSHAKESPEARE = Dataset(
    name="tinyshakespeare",
    what="Plays of Shakespeare, one after the other: 1,115,394 characters, 65 different ones. Train is the first nine tenths.",
    shapes={"text": "list of one str"},
    splits={"train": 1, "test": 1, "all": 1},
    source="A. Karpathy, char-rnn.",
    licence="In the public domain.",
    citation="Karpathy, Johnson & Fei-Fei, Visualizing and Understanding Recurrent Networks (2015).",
    loader=_load,
    files=(
        DataFile(
            "input.txt.gz",
            (
                Edition(433_884, "13125fe8f49092165d7d489e3944db52d1ba546e64a60080cc9523bcd0c5e46a"),
                Edition(
                    1_115_394,
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
                    "input.txt",
                ),
            ),
        ),
    ),
)
