"""ORAND-CAR-A: courtesy amounts cut from real bank cheques, with a box around every digit, as JPEG files and COCO annotations."""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_picture, reading

FOLDER = "ORAND-CAR-2014-coco/"
PARTS = {"train": ("train",), "validation": ("val",), "all": ("train", "val")}


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("ORAND-CAR-2014-coco.zip")
    found: dict[str, list[Any]] = {"x": [], "y": [], "boxes": [], "names": []}
    with reading(path, "a zip archive of JPEG files and COCO annotations"), zipfile.ZipFile(path) as archive:
        for part in PARTS[split]:
            listed = json.loads(archive.read(f"{FOLDER}annotations/instances_{part}2017.json"))
            digit = {kind["id"]: int(kind["name"]) for kind in listed["categories"]}
            marked = defaultdict(list)
            for mark in listed["annotations"]:
                marked[mark["image_id"]].append((*map(float, mark["bbox"]), digit[mark["category_id"]]))
            for image in listed["images"]:
                name = image["file_name"]
                picture = read_picture(archive.read(f"{FOLDER}images/{part}2017/{name}"), f"{path}: {name}")
                marks = sorted(marked[image["id"]])
                if not marks:
                    raise DataError(f"{path}: {name} has no digit; wanted one box at least.")
                table = torch.tensor(marks)
                grey = picture.float().mean(-1) if picture.ndim == 3 else picture.float()
                found["x"].append(grey / 255)
                found["boxes"].append(table[:, :4])
                found["y"].append(table[:, 4].long())
                found["names"].append(name)
    return found


ORAND_CAR_A = Dataset(
    name="orand_car_a",
    what="Handwritten amounts of bank cheques: strings of 1 to 7 digits on a printed ground, with points, dashes and rules.",
    shapes={
        "x": "N tensors (H, W) float32 in [0, 1]: 0 is black, 1 is white; about 155×54 pixels, every one of its own size",
        "y": "N tensors (L,) int64: the digits from left to right",
        "boxes": "N tensors (L, 4) float32: left, top, width, height of each digit, in pixels",
        "names": "N file names",
    },
    splits={"all": 1208, "train": 1080, "validation": 128},
    source="ORAND S.A., Chile, for the ICFHR 2014 competition; boxes by the repository Fzkuji/Labeled_ORAND-CAR-A.",
    licence="MIT (boxes); images: research terms of ORAND.",
    citation="Diem et al., ICFHR Competition on Handwritten Digit String Recognition in Challenging Datasets (2014).",
    loader=_load,
    files=(
        DataFile(
            "ORAND-CAR-2014-coco.zip",
            (Edition(3_450_592, "00398e050c67f5fa0680a7d513c85f6e9ffbd9af4bdf0c671a3f74523bebe437"),),
        ),
    ),
    classes=tuple("0123456789"),
)
