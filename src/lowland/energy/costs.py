"""What one step of a plan may cost. Energies of a state and an action, like any other; these two everybody needs.

    quadratic       C(s, a)    = ½ sᵀQs + ½ aᵀRa
    goal distance   C(s, goal) = ‖(s − goal) / scale‖ᵖ / p

Source: Bryson & Ho, Applied Optimal Control (1975), section 5.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy


class QuadraticCost(Energy):
    """½ sᵀQs + ½ aᵀRa, the regulator's cost; 0 at rest in the origin.

    Args:
        Q: ``(S, S)``, symmetric; units of energy per state².
        R: ``(A, A)``, symmetric; units of energy per action². Without it this is an energy of the state alone.
    """

    broadcasts = True
    Q: Tensor
    R: Tensor

    def __init__(self, Q: Tensor, R: Tensor | None = None) -> None:
        spaces: dict[str, Space] = {"s": Real(len(Q))}
        if R is not None:
            spaces["a"] = Real(len(R))
        super().__init__(**spaces)
        self.register_buffer("Q", Q)
        self.register_buffer("R", R)

    @classmethod
    def example(cls) -> QuadraticCost:
        return cls(torch.tensor([[2.0, 0.3], [0.3, 1.0]]), 0.5 * torch.eye(2))

    @property
    def reference(self) -> Tensor:
        return self.Q

    def energies(self, s: Float[Tensor, "*B S"], a: Float[Tensor, "*C A"] | None = None) -> Tensor:
        cost = 0.5 * torch.linalg.vecdot(s @ self.Q, s)
        return cost if a is None else cost + 0.5 * torch.linalg.vecdot(a @ self.R, a)


class GoalDistance(Energy):
    """‖(s − goal) / scale‖ᵖ / p: how far from where one wants to be; 0 there.

    The smaller p, the less a way round costs more than staying where one is, a wall between oneself and the goal: what is gained by coming
    nearer is gained near the goal.

    Args:
        space: Of states and goals.
        scale: What counts as one unit of distance, in units of the state; a number, or one for each entry (∞ for entries that
            don't matter).
        power: p > 0; below 1 slopes grow without bound towards the goal, and are 0 at it.

    Raises:
        SpaceError: If the power is not positive.
    """

    broadcasts = True
    scale: Tensor

    def __init__(self, space: Space, scale: Tensor | float = 1.0, power: float = 2.0) -> None:
        if not power > 0:
            raise SpaceError(f"GoalDistance: wanted power > 0, got {power}.")
        super().__init__(s=space, goal=space)
        self.power = power
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.get_default_dtype()))

    @classmethod
    def example(cls) -> GoalDistance:
        return cls(Real(2, 3), 2.0)

    @property
    def reference(self) -> Tensor:
        return self.scale

    def energies(self, s: Tensor, goal: Tensor) -> Tensor:
        square = ((s - goal) / self.scale).square().sum(tuple(range(-len(self.spaces["s"].shape), 0)))
        if self.power == 2:
            return 0.5 * square
        return square.clamp_min(torch.finfo(square.dtype).tiny).pow(self.power / 2) / self.power
