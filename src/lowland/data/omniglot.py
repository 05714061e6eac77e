"""Omniglot: characters of fifty alphabets, each drawn by twenty people, in PNG files in two zips."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members, read_picture

ARCHIVES = {"train": "images_background.zip", "test": "images_evaluation.zip"}
DRAWERS = 20


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find(ARCHIVES[split])
    members = read_members(path, ".png")
    pictures = [read_picture(content, f"{path}/{name}") for name, content in members.items()]
    characters = [name.rsplit("/", 1)[0] for name in members]
    alphabets = [name.rsplit("/", 2)[0] for name in members]
    kinds, writings = (list(dict.fromkeys(names)) for names in (characters, alphabets))
    if len(pictures) != DRAWERS * len(kinds) or len({picture.shape for picture in pictures}) != 1:
        raise DataError(
            f"{path}: wanted {DRAWERS} pictures of one size for each of {len(kinds)} characters; it holds others."
        )
    kind, writing = ({name: place for place, name in enumerate(names)} for names in (kinds, writings))
    return {
        "x": torch.stack(pictures) == 0,
        "y": torch.tensor([kind[name] for name in characters]),
        "alphabet": torch.tensor([writing[name] for name in alphabets]),
    }


OMNIGLOT = Dataset(
    name="omniglot",
    what="1,623 characters of 50 alphabets, real and invented, each drawn with a mouse by twenty people. Train are the "
    "30 alphabets called background, test the 20 called evaluation.",
    shapes={
        "x": "(N, 105, 105) bool: true is ink",
        "y": "(N,) int64: the character, counted within the split",
        "alphabet": "(N,) int64: the alphabet, counted within the split",
    },
    splits={"train": 19280, "test": 13180},
    source="B. Lake, R. Salakhutdinov & J. Tenenbaum, github.com/brendenlake/omniglot; the folders of PNG files, zipped anew.",
    licence="MIT.",
    citation="Lake, Salakhutdinov & Tenenbaum, Human-level concept learning through probabilistic program induction, Science 350 (2015).",
    loader=_load,
    files=(
        DataFile(
            "images_background.zip",
            (Edition(8_425_668, "0bd52a6c3e9b67c37260b49aa0ef999a781ce200d5971ac765cf7a4dcab78b9f"),),
        ),
        DataFile(
            "images_evaluation.zip",
            (Edition(5_757_624, "9d4a06435df3232e1e797949d03addc4bd9874ee5febcfbe49434c889d6f0a3e"),),
        ),
    ),
)
