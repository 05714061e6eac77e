"""Frey faces: 1,965 frames of one man's face in a short film, in a MATLAB file."""

from __future__ import annotations

from typing import Any

import torch

from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_mat, reading

HEIGHT, WIDTH = 28, 20


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("frey_rawface.mat")
    with reading(path, f"a MATLAB file with ff, ({HEIGHT * WIDTH}, N) bytes"):
        frames = torch.from_numpy(read_mat(path.read_bytes(), str(path))["ff"])  # one frame a column
        return {"x": frames.T.reshape(-1, HEIGHT, WIDTH).float() / 255}


FREY_FACES = Dataset(
    name="frey_faces",
    what="One face, filmed: expressions along a low-dimensional curve, in the order of time.",
    shapes={"x": "(N, 28, 20) float32 in [0, 1]: 0 is black; consecutive rows are consecutive frames"},
    splits={"all": 1965},
    source="B. Frey and S. Roweis.",
    licence="None stated; research use.",
    citation="Roweis, Saul & Hinton, NIPS 14 (2001).",
    loader=_load,
    files=(
        DataFile(
            "frey_rawface.mat",
            (
                Edition(
                    1_100_584,
                    "265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64",
                    (
                        "https://cs.nyu.edu/~roweis/data/frey_rawface.mat",
                        "https://raw.githubusercontent.com/SheffieldML/GPmat/HEAD/datasets/data/frey_rawface.mat",
                    ),
                ),
            ),
        ),
    ),
)
