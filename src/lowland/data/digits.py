"""Scikit-learn's digits: 1,797 handwritten digits of 8×8 pixels, shipped inside the dependency, so never downloaded."""

from __future__ import annotations

from typing import Any

import torch

from .dataset import Dataset, Find
from .splits import stratified

LEVELS = 16  # a pixel counts the ink in a 4×4 block of the original bitmap


def _load(find: Find, split: str) -> dict[str, Any]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(pixels).float().reshape(-1, 8, 8) / LEVELS, torch.from_numpy(labels).long()
    if split == "all":
        return {"x": x, "y": y}
    train, test = stratified(y, fraction=0.2, seed=0)
    rows = train if split == "train" else test
    return {"x": x[rows], "y": y[rows]}


DIGITS = Dataset(
    name="digits",
    what="Handwritten digits as 8×8 counts of ink; the test part is a stratified 20 %, drawn with seed 0.",
    shapes={"x": "(N, 8, 8) float32 in [0, 1], in steps of 1/16: 0 is paper, 1 is ink", "y": "(N,) int64: the digit"},
    splits={"train": 1437, "test": 360, "all": 1797},
    source="The test part of the UCI set of E. Alpaydin and C. Kaynak, as shipped by scikit-learn.",
    licence="CC BY 4.0 (UCI).",
    citation="Kaynak, M.Sc. thesis, Bogazici University (1995).",
    loader=_load,
    classes=tuple("0123456789"),
    embedded="sklearn/datasets/data/digits.csv.gz",
)
