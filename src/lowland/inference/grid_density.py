"""In a plane nothing can hide: the density of an energy of two numbers (or one, or three), by a sum over a grid.

    p(x) = exp(−β E(x)) / Z,    Z ≈ Σ_cells exp(−β E(middle)) · volume of a cell

So every energy has a likelihood, whatever it was trained by, an inverse temperature that suits the data best, and a share of the
plane that lies as low as they do.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError

#: Points whose energies are held at once.
ROWS = 2**14
#: Halvings of the interval in which the inverse temperature is looked for.
HALVINGS = 60


def grid_points(low: float, high: float, resolution: int, dim: int = 2) -> Float[Tensor, "P D"]:
    """The middles of equal cells that tile the cube from ``low`` to ``high``, ``resolution`` along each side."""
    line = low + (high - low) * (torch.arange(resolution) + 0.5) / resolution
    return torch.cartesian_prod(*[line] * dim).reshape(-1, dim)


class GridDensity:
    """The density of an energy over a cube outside which there is nothing.

    Args:
        energy: Of one variable with at most three numbers.
        low: Where each side of the cube begins.
        high: Where it ends.
        resolution: Cells along each side.

    Attributes:
        points: The middles of the cells, ``(P, D)``.
        energies: Theirs, ``(P,)``, in double precision.
        cell: Logarithm of a cell's volume.

    Raises:
        SpaceError: If a sample has no number, or more than three.
    """

    @torch.no_grad()
    def __init__(self, energy: Energy, low: float, high: float, resolution: int) -> None:
        dim = energy.space.shape.numel()
        if not 1 <= dim <= 3:
            raise SpaceError(f"GridDensity: wanted a variable of one to three numbers, got {energy.space!r}.")
        self.energy = energy
        self.points = grid_points(low, high, resolution, dim)
        self.cell = dim * math.log((high - low) / resolution)
        rows = self.points.reshape(-1, *energy.space.shape).split(ROWS)
        self.energies = torch.cat([energy.value(part) for part in rows]).double()

    def log_partition(self, beta: float) -> float:
        """log Z at an inverse temperature ≥ 0, in nats."""
        return float((-beta * self.energies).logsumexp(0)) + self.cell

    @torch.no_grad()
    def log_probability(self, x: Tensor, beta: float = 1.0) -> Float[Tensor, " N"]:
        """log p of samples ``(N, *event)`` inside the cube, in nats."""
        return -beta * self.energy.value(x).double() - self.log_partition(beta)

    @torch.no_grad()
    def suit(self, x: Tensor) -> float:
        """The inverse temperature at which samples are likeliest: where the mean energy of the density is theirs. 0 if they lie high."""
        wanted = float(self.energy.value(x).double().mean())
        spread = float(self.energies.std())
        if not spread > 0 or float(self.energies.mean()) <= wanted:
            return 0.0
        low, high = math.log(1e-6 / spread), math.log(1e9 / spread)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            weights = (-math.exp(middle) * self.energies).softmax(0)
            low, high = (middle, high) if float(weights @ self.energies) > wanted else (low, middle)
        return math.exp(0.5 * (low + high))

    @torch.no_grad()
    def low_share(self, x: Tensor, share: float = 0.95) -> float:
        """The part of the cube that lies as low as a share of the samples, from 0 to 1."""
        level = self.energy.value(x).double().quantile(share)
        return float((self.energies <= level).double().mean())

    def sample(self, count: int, beta: float = 1.0, generator: torch.Generator | None = None) -> Float[Tensor, "N D"]:
        """Draws, each the middle of a cell."""
        weights = (-beta * self.energies).softmax(0)
        return self.points[torch.multinomial(weights, count, replacement=True, generator=generator)]
