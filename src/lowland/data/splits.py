"""Keeping some of the data apart, with every class in proportion, the same rows for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ..errors import UsageError


def stratified(
    y: Int64[Tensor, " N"], fraction: float, seed: int = 0
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " K"]]:
    """Which rows stay and which are held out: two tensors of indices, every class in proportion.

    They are those of scikit-learn's ``train_test_split(test_size=fraction, stratify=y, random_state=seed)``, in order.

    Args:
        y: The labels.
        fraction: What part is held out, between 0 and 1.
        seed: Draws the rows; the same seed gives the same rows on every machine.

    Raises:
        UsageError: `fraction` is out of range, or too few samples of a class to share out.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"stratified: wanted 0 < fraction < 1, got {fraction}.")
    from sklearn.model_selection import train_test_split

    try:
        rows = train_test_split(np.arange(len(y)), test_size=fraction, stratify=y.cpu().numpy(), random_state=seed)
    except ValueError as error:
        raise UsageError(f"stratified: {len(y)} labels cannot be shared out by {fraction}: {error}") from error
    kept, held = (torch.from_numpy(part) for part in rows)
    return kept, held


def holdout(data: dict[str, Any], fraction: float, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two parts of a data set's named tensors, stratified by ``"y"``: what is left to train on, and a validation part.

    Args:
        data: Named tensors with the same number of rows, as `load` gives them; ``"y"`` are labels.
        fraction: What part becomes the validation part.
        seed: Draws the rows.
    """
    kept, held = stratified(data["y"], fraction, seed)
    return {name: value[kept] for name, value in data.items()}, {name: value[held] for name, value in data.items()}


def balanced(y: Int64[Tensor, " N"], count: int, generator: torch.Generator | None = None) -> Int64[Tensor, " count"]:
    """Rows drawn by lot, as many of each class.

    Args:
        y: The labels.
        count: How many rows, all classes together.
        generator: Draws them.

    Raises:
        UsageError: If the classes can't have equally many, or one has not enough.
    """
    classes, sizes = y.unique(return_counts=True)
    each, odd = divmod(count, len(classes))
    most = int(sizes.min())
    if odd or not 0 < each <= most:
        raise UsageError(
            f"balanced: wanted a multiple of the {len(classes)} classes, at most {most} rows of each, got {count} rows."
        )
    lots = torch.rand(len(y), generator=generator)
    drawn = []
    for label in classes:
        rows = (y == label).nonzero()[:, 0]
        drawn.append(rows[lots[rows].argsort()[:each]])
    return torch.cat(drawn)
