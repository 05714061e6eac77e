"""Lowland: learn energies from raw data and ask them anything.

A learner is an energy over named variables, low where they agree. Fix what you know, look for low energy over the rest.
"""

from typing import Any

from .energy import Energy, Partial
from .errors import LowlandError
from .inference import infer, posterior, solve
from .spaces import Binary, Box, Categorical, NonNegative, Opaque, Real, Sphere

__version__ = "0.1.0"

__all__ = [
    "Binary",
    "Box",
    "Categorical",
    "Energy",
    "LowlandError",
    "NonNegative",
    "Opaque",
    "Partial",
    "Real",
    "Sphere",
    "fit",
    "infer",
    "load",
    "posterior",
    "solve",
]


def __getattr__(name: str) -> Any:
    """``fit`` and ``load`` live in `lowland.train`, which is heavier than the core and comes when it is asked for."""
    if name in ("fit", "load"):
        from . import train

        return getattr(train, name)
    raise AttributeError(f"module 'lowland' has no attribute {name!r}")
