"""Omniglot: characters of fifty alphabets, each drawn by twenty people, in PNG files in two zips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members, read_picture

SIDE = 105
DRAWERS = 20


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find(f"images_{split}.zip")
    members = read_members(path, ".png")
    characters = [name.rsplit("/", 1)[0] for name in members]
    alphabets = [name.rsplit("/", 2)[0] for name in members]
    pictures = [read_picture(content, f"{path}/{name}") for name, content in members.items()]
    different = list(dict.fromkeys(characters))
    if len(pictures) != DRAWERS * len(different) or {picture.shape for picture in pictures} != {(SIDE, SIDE)}:
        raise DataError(
            f"{path}: wanted {DRAWERS} pictures of {SIDE}×{SIDE} pixels for each of {len(different)} characters; it holds others."
        )
    return {
        "x": torch.stack(pictures) == 0,
        "character": _numbered(characters),
        "alphabet": _numbered(alphabets),
        "drawer": torch.tensor([int(Path(name).stem.rpartition("_")[2]) - 1 for name in members]),
    }


def _numbered(names: list[str]) -> torch.Tensor:
    """Names as numbers, in the order in which they first appear."""
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([number[name] for name in names])


OMNIGLOT = Dataset(
    name="omniglot",
    what="1,623 characters of 50 alphabets, real and invented, each drawn with a mouse by twenty people. Background are the "
    "30 alphabets to learn from, evaluation the 20 to be judged on.",
    shapes={
        "x": "(N, 105, 105) bool: true is ink",
        "character": "(N,) int64: counted within the split, alphabet by alphabet",
        "alphabet": "(N,) int64: counted within the split",
        "drawer": "(N,) int64: 0 to 19, one of the twenty who drew this alphabet",
    },
    splits={"background": 19280, "evaluation": 13180},
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
