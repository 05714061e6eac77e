"""BSDS500: photographs, and where several people saw the borders of things; JPEG and MATLAB files in a zip."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_mat, read_members, read_picture, reading


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("bsds500_train_every2nd.zip")
    pictures, drawings = read_members(path, ".jpg"), read_members(path, ".mat")
    x, segments, boundaries = [], [], []
    for name, content in pictures.items():
        x.append(read_picture(content, name).permute(2, 0, 1).float() / 255)
        drawing = name.replace("/images/", "/groundTruth/").removesuffix(".jpg") + ".mat"
        with reading(path, f"a ground truth for each image, {drawing} among them"):
            people = read_mat(drawings[drawing], drawing)["groundTruth"][0]
            segments.append(torch.from_numpy(np.stack([p["Segmentation"][0, 0] for p in people]).astype(np.int64)))
            boundaries.append(torch.from_numpy(np.stack([p["Boundaries"][0, 0] for p in people]).astype(bool)))
    return {"x": x, "segments": segments, "boundaries": boundaries}


BSDS500 = Dataset(
    name="bsds500",
    what="Half of the Berkeley training photographs (every second by number), each segmented by several people.",
    shapes={
        "x": "list of N tensors, (3, 321, 481) or (3, 481, 321), float32 in [0, 1], RGB",
        "segments": "list of N tensors, (people, H, W) int64: the segment of each pixel, from 1",
        "boundaries": "list of N tensors, (people, H, W) bool: whether a pixel lies on a border",
    },
    splits={"train": 100},
    source="P. Arbelaez, M. Maire, C. Fowlkes and J. Malik, UC Berkeley; the train part of BIDS/BSDS500, re-zipped.",
    licence="Non-commercial research and education (Berkeley).",
    citation="Arbelaez, Maire, Fowlkes & Malik, IEEE PAMI 33 (2011).",
    loader=_load,
    files=(
        DataFile(
            "bsds500_train_every2nd.zip",
            (Edition(11_560_117, "e0aeb3dd41e193d8603fee78fd87a47edcd6147e89b8eca949bce3ae37ae0ba9"),),
        ),
    ),
)
