"""Thirteen natural grey images, in TIFF: what sparse codes and independent components are learned from."""

from __future__ import annotations

from typing import Any

from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_members, read_picture


def _load(find: Find, split: str) -> dict[str, Any]:
    members = read_members(find("hyvarinenBookImages.zip"), ".tiff")
    return {"x": [read_picture(content, name).float() / 255 for name, content in members.items()]}


NATURAL_IMAGES = Dataset(
    name="natural_images",
    what="Photographs of nature, grey, unprocessed; patches are cut from them by `lowland.data.extract_patches`.",
    shapes={"x": "list of N tensors, (256, 512) or (512, 256), float32 in [0, 1]: 0 is black"},
    splits={"all": 13},
    source="A. Hyvärinen, J. Hurri and P. Hoyer, images of their book; file of probml/pmtkdata.",
    licence="None stated; research use.",
    citation="Hyvärinen, Hurri & Hoyer, Natural Image Statistics, Springer (2009).",
    loader=_load,
    files=(
        DataFile(
            "hyvarinenBookImages.zip",
            (
                Edition(
                    1_486_977,
                    "bc8a72a34beefe4035acdf8ac7beeb0bb5fa06acd2c63e304b53800817486924",
                    (
                        "https://raw.githubusercontent.com/probml/pmtkdata/HEAD/"
                        "hyvarinenBookImages/hyvarinenBookImages.zip",
                        "https://raw.githubusercontent.com/yuukiyuki/pmtkdata/"
                        "0472c56ea83069af9d0e3ccafddae0927e7687b0/hyvarinenBookImages/hyvarinenBookImages.zip",
                    ),
                ),
            ),
        ),
    ),
)
