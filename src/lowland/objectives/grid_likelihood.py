"""Likelihood of an energy of one to three numbers: the partition function is a sum over a grid.

    L = mean E(data) + log Σ_cells exp(−E(middle)) · volume of a cell

Pushes down: the data. Pushes up: everything, in proportion to its probability (strategy C1). The grid is moved by less than a cell at
each call, so that nothing can hide between its points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ..energy import Energy
from ..errors import SpaceError
from ..inference import grid_points
from .objective import Loss, Objective, alone


class GridLikelihood(Objective):
    """−log p(x) over a cube outside which there is nothing, in nats.

    Args:
        low: Where each side of the cube begins.
        high: Where it ends.
        resolution: Cells along each side, of which there are ``resolution`` to the power of the numbers in a sample.
        name: The variable; others are given.

    Raises:
        SpaceError: If the cube is empty.
    """

    no_collapse = "A flat energy has the lowest likelihood that a normalised density with the data inside can have."
    tried_on = "real"

    @classmethod
    def example(cls) -> GridLikelihood:
        return cls(-5.0, 5.0, resolution=6)

    def __init__(self, low: float, high: float, resolution: int = 100, name: str = "x") -> None:
        if not low < high or resolution < 1:
            raise SpaceError(
                f"GridLikelihood: wanted low < high and resolution ≥ 1, got {low}, {high} and {resolution}."
            )
        self.low, self.high, self.resolution, self.name = low, high, resolution, name

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energy, x = alone(energy, batch, self.name)
        if energy.batch_shape:
            raise SpaceError(
                "GridLikelihood: wanted an energy of one variable alone, got one that others are given of."
            )
        low, high = x.aminmax()
        if not (self.low <= low and high <= self.high):
            raise SpaceError(
                f"GridLikelihood: wanted {self.name} from {self.low:g} to {self.high:g}, got {float(low):g} to {float(high):g}: there is "
                "nothing outside the cube; make it larger."
            )
        dim = energy.space.shape.numel()
        width = (self.high - self.low) / self.resolution
        points = grid_points(self.low, self.high, self.resolution, dim).to(x) + width * (torch.rand(dim).to(x) - 0.5)
        every = energy.value(points.reshape(-1, *energy.space.shape))
        partition = (-every).logsumexp(0) + dim * math.log(width)
        data = energy.value(x).mean()
        return Loss(data + partition, {"energy": data.detach(), "log_partition": partition.detach()})
