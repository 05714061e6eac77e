"""Real numbers that don't see each other: where chains begin that are led to something harder.

E(x) = ½ ‖(x − mean)/spread‖²
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Real
from .energy import Energy


class IndependentGaussians(Energy):
    """½‖(x − mean)/spread‖²: exp(−E) is drawn from exactly, and its integral is known. Units: nats.

    Args:
        mean: ``(*event)``, in units of x.
        spread: σ > 0, a number or ``(*event)``, in units of x.
        name: What the variable is called.

    Raises:
        SpaceError: If a spread is not positive.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: float | Tensor = 1.0, name: str = "x") -> None:
        spread = torch.as_tensor(spread).to(mean).expand(mean.shape)
        if not bool((spread > 0).all()):
            raise SpaceError(f"IndependentGaussians: wanted a spread > 0, got {float(spread.min())}.")
        super().__init__(**{name: Real(*mean.shape)})
        self.name = name
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("spread", spread.clone(), persistent=False)

    @classmethod
    def example(cls) -> IndependentGaussians:
        """A small one, for the conformance checks."""
        return cls(torch.tensor([0.5, -1.0, 0.3]), 0.7)

    @classmethod
    def of(cls, x: Tensor, name: str = "x") -> IndependentGaussians:
        """The likeliest for samples ``(N, *event)``: each number with its own mean and standard deviation."""
        return cls(x.mean(0), x.std(0, unbiased=False), name)

    def energies(self, **values: Tensor) -> Tensor:
        return 0.5 * ((values[self.name] - self.mean) / self.spread).square().flatten(1).sum(-1)

    @property
    def reference(self) -> Tensor | None:
        return self.mean

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """So many samples of exp(−E): ``(count, *event)``."""
        shape = (count, *self.mean.shape)
        noise = torch.randn(shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.spread * noise

    def log_partition(self) -> Tensor:
        """log ∫ exp(−E(x)) dx, in nats."""
        return self.spread.log().sum() + 0.5 * self.mean.numel() * math.log(2 * math.pi)
