"""What a moment of driving costs, to one who is at s and does a: the energy that a plan in traffic adds up.

    C(s) = Σ near² + 0.2 cos²(π y/lane) + slow²

Source: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, for what is near, with a
distance that is safe at a speed, and for lanes; theirs are functions of a picture, and nobody wants to get anywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..data.traffic import EACH, NEIGHBOURS, OWN, STATE
from ..energy import Energy
from ..spaces import Box, Real

#: What a driver sees and what he does, as `lowland.data.traffic` has them.
SEEN, DONE = Real(STATE), Box(-1, 1, 2)


class DrivingCost(Energy):
    """0 for one who is alone in the middle of a lane, as fast as he wants; all of it has slopes.

    near: 1 where a neighbour touches along the road, falling to 0 at the distance that is safe at this speed, and across the road over
    the width of a lane. slow: the part of the wanted speed that is missing. Where the road ends, and what a car can do, it does not say.

    Args:
        lane: Width of a lane, in metres.
        wanted: How fast one wants to go, in m/s.
        length: Of a car, in metres.
    """

    broadcasts = True

    def __init__(self, lane: float = 4.0, wanted: float = 12.0, length: float = 5.0) -> None:
        super().__init__(s=SEEN)
        self.lane, self.wanted, self.length = lane, wanted, length

    @classmethod
    def example(cls) -> DrivingCost:
        return cls()

    def energies(self, s: Tensor) -> Tensor:
        between = torch.cos(math.pi * s[..., 0] / self.lane).square()
        slow = (s[..., 1] / self.wanted - 1).square()
        return self.near(s) + 0.2 * between + slow

    def near(self, s: Tensor) -> Tensor:
        """The first part: how near others are."""
        along, across, faster, _ = s[..., OWN:].unflatten(-1, (NEIGHBOURS, EACH)).unbind(-1)
        closing = -(faster * along.tanh()).clamp(-5, 5)
        safe = (2 + 0.8 * s[..., 1:2].clamp(0, 30) + 0.5 * closing).clamp_min(1)
        beside = (1.1 - across.abs() / self.lane).clamp(0, 1)
        return ((1 - (along.abs() - self.length) / safe).clamp(0, 2) * beside).square().sum(-1)
