"""A cost that is learnt from what steps brought: the energy of being in a state and doing something there.

    C(s, a) = −m − d · net( (s − μ)/σ, (a − ν)/τ )          m, d: mean and deviation of the rewards that were seen

`CostForecast` is how well that agrees with a reward: training lowers it, planning lowers C.

Source: Chua et al., Deep Reinforcement Learning in a Handful of Trials, NeurIPS 2018, section 3, take rewards as known; learnt ones as
in Hafner et al., Learning Latent Dynamics for Planning from Pixels, ICML 2019, eq. 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..energy import Energy
from ..spaces import Real, Space
from .mlp import mlp


class LearntCost(Energy):
    """Minus the reward that a multi-layer perceptron expects of a step. Units: those of rewards.

    Args:
        state: Space of one state, a vector.
        action: Space of one action, a vector.
        hidden: Units of each hidden layer.

    Attributes:
        centre, width: ``(S + A)``, what is subtracted from states and actions and what they are divided by; 0 and 1 until `fit_scale`.
        usual: ``(2)``, mean and deviation of rewards; 0 and 1 until `fit_scale`.
    """

    broadcasts = True
    centre: Tensor
    width: Tensor
    usual: Tensor

    def __init__(self, state: Space, action: Space, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__(s=state, a=action)
        known = state.shape[0] + action.shape[0]
        self.net = mlp((known, *hidden, 1), nn.SiLU)
        self.register_buffer("centre", torch.zeros(known))
        self.register_buffer("width", torch.ones(known))
        self.register_buffer("usual", torch.tensor([0.0, 1.0]))

    @classmethod
    def example(cls) -> LearntCost:
        return cls(Real(3), Real(2), (8,))

    @torch.no_grad()
    def fit_scale(self, s: Tensor, a: Tensor, reward: Tensor) -> None:
        """Set the units from steps: states ``(N, S)``, actions ``(N, A)`` and what they brought ``(N)``."""
        deviation, mean = torch.std_mean(torch.cat([s, a], -1), 0)
        self.centre.copy_(mean)
        self.width.copy_(deviation.clamp_min(1e-6))
        self.usual.copy_(torch.stack([reward.mean(), reward.std().clamp_min(1e-6)]))

    def energies(self, s: Tensor, a: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(s.shape[:-1], a.shape[:-1])
        known = torch.cat([s.expand(*batch, -1), a.expand(*batch, -1)], -1)
        said = self.net(((known - self.centre) / self.width).reshape(-1, known.shape[-1])).reshape(batch)
        return -self.usual[0] - self.usual[1] * said


class CostForecast(Energy):
    """½((r + C(s, a)) / d)²: 0 exactly where the cost is minus the reward.

    Args:
        cost: C.
    """

    broadcasts = True

    def __init__(self, cost: LearntCost) -> None:
        super().__init__(**cost.spaces, reward=Real())
        self.cost = cost

    @classmethod
    def example(cls) -> CostForecast:
        return cls(LearntCost.example())

    def energies(self, s: Tensor, a: Tensor, reward: Tensor) -> Tensor:
        return 0.5 * ((reward + self.cost(s=s, a=a)) / self.cost.usual[1]).square()
