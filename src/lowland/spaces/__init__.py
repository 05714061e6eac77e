"""What a variable ranges over."""

from .discrete import Binary, Categorical
from .integers import Integers
from .labels import Labels
from .opaque import Opaque
from .paths import NOTHING, Paths, Sequence
from .real import Box, NonNegative, Real, Sphere
from .space import Space
from .trees import Trees

__all__ = [
    "NOTHING",
    "Binary",
    "Box",
    "Categorical",
    "Integers",
    "Labels",
    "NonNegative",
    "Opaque",
    "Paths",
    "Real",
    "Sequence",
    "Space",
    "Sphere",
    "Trees",
]
