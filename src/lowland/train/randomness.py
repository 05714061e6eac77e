"""Every stream of random numbers a run draws from, so that a run can be repeated, stopped and continued."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def derive(seed: int, *names: object) -> int:
    """A seed for one purpose, the same each time: what ``seed`` and the names give, in [0, 2³²)."""
    return zlib.crc32("/".join(map(str, (seed, *names))).encode())


def start(seed: int) -> None:
    """Put the global streams of torch (all devices), numpy and Python at the beginning that belongs to ``seed``."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries that systems use draw from it
    random.seed(seed)


def capture() -> dict[str, Any]:
    """Where the global streams are now, as a state for a checkpoint."""
    state = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}  # noqa: NPY002
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put the global streams where `capture` found them."""
    torch.set_rng_state(state["torch"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the global streams start at ``seed``; afterwards the caller's are where they were."""
    before = capture()
    start(seed)
    try:
        yield
    finally:
        restore(before)
