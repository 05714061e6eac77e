"""What a variable ranges over."""

from .discrete import Binary, Categorical
from .opaque import Opaque
from .paths import NOTHING, Paths, Sequence
from .real import Box, NonNegative, Real, Sphere
from .space import Space

__all__ = [
    "NOTHING",
    "Binary",
    "Box",
    "Categorical",
    "NonNegative",
    "Opaque",
    "Paths",
    "Real",
    "Sequence",
    "Space",
    "Sphere",
]
