"""Ways to spoil a value, for objectives that learn to mend it.

    salt and pepper    a fraction of the entries becomes the lowest or the highest value, by the toss of a coin
    mask               a fraction of the entries becomes 0, or any other value
    Gaussian           x + σε,  ε ~ N(0, 1)

Source: Vincent, Larochelle, Lajoie, Bengio & Manzagol, Stacked Denoising Autoencoders, JMLR 11 (2010), section 5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SpaceError


class Corruption(ABC):
    """Spoils a value: ``corruption(x)`` has the shape of ``x (N, *event)`` and leaves it as it was."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A spoilt copy."""


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """A fraction of the entries becomes ``low`` or ``high``.

    Attributes:
        fraction: In [0, 1].
        low: Pepper, in units of x.
        high: Salt.
    """

    fraction: float = 0.3
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_fraction(self, self.fraction)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        drawn = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        pepper = torch.where(drawn < 0.5 * self.fraction, self.low, x)
        return torch.where(drawn >= 1 - 0.5 * self.fraction, self.high, pepper)


@dataclass(frozen=True)
class Mask(Corruption):
    """A fraction of the entries becomes ``value``.

    Attributes:
        fraction: In [0, 1].
        value: What stands where nothing is known, in units of x.
    """

    fraction: float = 0.3
    value: float = 0.0

    def __post_init__(self) -> None:
        _check_fraction(self, self.fraction)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.where(self.hidden(x, generator), self.value, x)

    def hidden(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Which entries: booleans of the shape of ``x``."""
        return torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) < self.fraction


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Adds noise.

    Attributes:
        sigma: Standard deviation > 0, in units of x.
    """

    sigma: float = 0.3

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise SpaceError(f"GaussianNoise: wanted sigma > 0, got {self.sigma}.")

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + self.sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def _check_fraction(corruption: Corruption, fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise SpaceError(f"{type(corruption).__name__}: wanted a fraction from 0 to 1, got {fraction}.")
