"""Dictionaries from English to seven languages: words and what they are in another language."""

from __future__ import annotations

import zipfile
from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import reading

_PARTS = ("train.freq.5k", "test.freq.2k")


def _load(find: Find, split: str) -> dict[str, Any]:
    path, found = find("xling_eval_en.zip"), []
    with reading(path, "a zip of dictionaries"), zipfile.ZipFile(path) as archive:
        for part in _PARTS:
            text = archive.read(f"bli_datasets/en-{split}/yacle.{part}.en-{split}.tsv").decode("utf-8")
            found += [line.split("\t") for line in text.splitlines() if line]
    if wrong := [pair for pair in found if len(pair) != 2]:
        raise DataError(f"{path}: wanted two words a line with a tab between them, got {wrong[0]}.")
    return {"en": [pair[0].lower() for pair in found], "other": [pair[1].lower() for pair in found]}


BILINGUAL_DICT = Dataset(
    name="bilingual_dict",
    what="Frequent English words with a translation each; a split is the other language.",
    shapes={"en": "list of str: English words, lower case", "other": "list of str: the same in the other language"},
    splits={"de": 7_000, "fi": 7_000, "fr": 7_000, "hr": 7_000, "it": 7_000, "ru": 7_000, "tr": 7_000},
    source="G. Glavaš, R. Litschko, S. Ruder & I. Vulić, xling-eval.",
    licence="None stated; cite the paper.",
    citation="Glavaš, Litschko, Ruder & Vulić, How to (Properly) Evaluate Cross-Lingual Word Embeddings, ACL (2019).",
    loader=_load,
    files=(
        DataFile(
            "xling_eval_en.zip",
            (Edition(684_526, "6c860e9769d0b3c3dabaa01ffc6b8620d0b54041cb033f36296a12dfbd0baf54"),),
        ),
    ),
)
