"""USPS: 9,298 digits of 16×16 pixels, cut from envelopes by the U.S. Postal Service, in HDF5."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import reading

SIDE = 16


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("usps.h5")
    try:
        import h5py
    except ImportError as error:
        raise DataError("usps: reading HDF5 needs h5py; install it with: pip install 'lowland[vision]'.") from error
    with reading(path, f"an HDF5 file with {split}/data and {split}/target"), h5py.File(path, "r") as archive:
        x = torch.from_numpy(archive[f"{split}/data"][:]).float().reshape(-1, SIDE, SIDE)  # type: ignore[index]
        y = torch.from_numpy(archive[f"{split}/target"][:]).long()  # type: ignore[index]
    return {"x": x, "y": y}


USPS = Dataset(
    name="usps",
    what="Digits of zip codes, size-normalised to 16×16 grey pixels. The test part is harder than the train part.",
    shapes={"x": "(N, 16, 16) float32 in [0, 1]: 0 is paper, 1 is ink", "y": "(N,) int64: the digit"},
    splits={"train": 7291, "test": 2007},
    source="U.S. Postal Service; zip.train and zip.test of Hastie, Tibshirani & Friedman, as HDF5.",
    licence="None stated; research use.",
    citation="Hull, IEEE PAMI 16 (1994); LeCun et al., Neural Computation 1 (1989).",
    loader=_load,
    files=(
        DataFile(
            "usps.h5",
            (
                Edition(
                    2_913_522,
                    "734f88c541104a956d88be2c95d03b4a463ffd74ccc2ba9c80841fb98e3fcb36",
                    (
                        "https://raw.githubusercontent.com/niuers/Learning-From-Data-A-Short-Course/"
                        "35684e893b63bf4039bafcc6d34fe935851baf9a/data/usps.h5",
                    ),
                ),
            ),
        ),
    ),
    classes=tuple("0123456789"),
)
