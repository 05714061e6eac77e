"""Real traffic on the I-80 in Emeryville: drivers behind others for a minute or so, ten frames a second."""

from __future__ import annotations

import csv
import io
import tarfile
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find

FOOT = 0.3048
PAIRS = "cf_ngsim_I80.tar.xz"


def _load(find: Find, split: str) -> dict[str, Any]:
    return {"pairs": _pairs(find(PAIRS), split)}


def _pairs(path: Any, split: str) -> list[Tensor]:
    found = []
    with tarfile.open(path) as archive:

        def rows(name: str) -> list[dict[str, str]]:
            file = archive.extractfile(f"cf_ngsim_I80/{name}")
            if file is None:
                raise DataError(f"{path}: there is no {name}.")
            return list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))

        for one in rows("manifest.csv"):
            if one["split"] != split:
                continue
            table = rows(one["path"])
            named = ("spacing", "v_follower", "a_follower", "v_leader", "a_leader", "x_leader", "t")
            values = torch.tensor([[float(row[name]) for name in named] for row in table], dtype=torch.float64)
            values[:, :-1] *= FOOT
            what = f"{path}: follower {one['follower']}"
            if not bool(values.isfinite().all()):
                frame = int((~values.isfinite().all(1)).nonzero()[0])
                raise DataError(f"{what} has a number that is not finite in row {frame + 1}.")
            steps = values[:, -1].diff()
            if bool(((steps - 0.1).abs() > 0.02).any()):
                frame = int((steps - 0.1).abs().argmax())
                raise DataError(f"{what} is missing for {steps[frame]:.1f} s after {values[frame, -1]:.1f} s.")
            found.append(values[:, :-1].float())
    return found


NGSIM_I80 = Dataset(
    name="ngsim_i80",
    what="Vehicles on the I-80, filmed on 13 April 2005: leader-follower pairs of at least 50 seconds, split by follower.",
    shapes={
        "pairs": "a list of (T, 6) float32, 10 a second: spacing (m), speed and acceleration of the follower and of the leader "
        "(m/s, m/s²), place of the leader (m)",
    },
    splits={"train": 100, "test": 20},
    source="US DOT FHWA, Next Generation Simulation; pairs as in "
    "TeRyZh/Segment-based-Calibration-of-Car-Following-Dynamics.",
    licence="Public data of the U.S. government.",
    citation="U.S. Department of Transportation, FHWA, NGSIM Vehicle Trajectories and Supporting Data (2016).",
    loader=_load,
    files=(DataFile(PAIRS, (Edition(3_674_384, "2995ba7fba3e5813d06f9d128c496295acf24c43948b609fb6db73b2faed215a"),)),),
)
