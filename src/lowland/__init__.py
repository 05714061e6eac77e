"""Lowland: learn energies from raw data and ask them anything.

A learner is an energy over named variables, low where they agree. Fix what you know, look for low energy over the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .energy import Energy, Partial
    from .errors import LowlandError
    from .inference import infer, posterior, solve
    from .spaces import Binary, Box, Categorical, NonNegative, Opaque, Real, Sphere
    from .train import fit, load

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

_homes = {
    "energy": ("Energy", "Partial"),
    "errors": ("LowlandError",),
    "inference": ("infer", "posterior", "solve"),
    "spaces": ("Binary", "Box", "Categorical", "NonNegative", "Opaque", "Real", "Sphere"),
    "train": ("fit", "load"),
}


def __getattr__(name: str) -> Any:
    """Names come with their layer, when they are asked for: ``lowland --help`` need not wait for torch."""
    for layer, names in _homes.items():
        if name in names:
            return getattr(import_module(f".{layer}", __name__), name)
    raise AttributeError(f"module 'lowland' has no attribute {name!r}")
