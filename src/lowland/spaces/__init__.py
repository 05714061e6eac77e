"""What a variable ranges over."""

from .discrete import Binary, Categorical
from .opaque import Opaque
from .real import Box, NonNegative, Real, Sphere
from .space import Space

__all__ = ["Binary", "Box", "Categorical", "NonNegative", "Opaque", "Real", "Space", "Sphere"]
