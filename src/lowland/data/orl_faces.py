"""ORL (AT&T) faces: forty people, ten photographs each, in PGM files in a zip."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members, read_picture

EACH = 10  # photographs of one person


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("att_faces.zip")
    members = read_members(path, ".pgm")
    people = list(dict.fromkeys(name.rsplit("/", 2)[-2] for name in members))
    pictures = [read_picture(content, name) for name, content in members.items()]
    if len(pictures) != EACH * len(people) or len({picture.shape for picture in pictures}) != 1:
        raise DataError(
            f"{path}: wanted {EACH} pictures of one size for each of {len(people)} people; it holds others."
        )
    x = torch.stack(pictures).float().div_(255)
    y = torch.arange(len(people)).repeat_interleave(EACH)
    which = torch.arange(len(x)) % EACH
    rows = {"all": which >= 0, "train": which < EACH // 2, "test": which >= EACH // 2}[split]
    return {"x": x[rows], "y": y[rows]}


ORL_FACES = Dataset(
    name="orl_faces",
    what="Faces of 40 people, 10 each, frontal, with small changes of pose, expression and glasses. There is no "
    "official split: here train is the first five of each person, test the last five.",
    shapes={"x": "(N, 112, 92) float32 in [0, 1]: 0 is black", "y": "(N,) int64: the person, s1 is 0"},
    splits={"all": 400, "train": 200, "test": 200},
    source="AT&T Laboratories Cambridge (Olivetti Research), 1992–1994; the PGM files, re-zipped.",
    licence="Free for research with acknowledgement of AT&T Laboratories Cambridge.",
    citation="Samaria & Harter, IEEE Workshop on Applications of Computer Vision (1994).",
    loader=_load,
    files=(
        DataFile(
            "att_faces.zip",
            (Edition(3_785_083, "d5a34ffd9efb567016d5565234e1c74c7084f929130faa4f4ab0bae60dc689fb"),),
        ),
    ),
    classes=tuple(f"s{person}" for person in range(1, 41)),
)
