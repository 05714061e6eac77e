"""What it costs to do as a policy says: the plan's energy, its actions taken from a function of the state.

    E(s) = Σ_t C(s[t], π(s[t])) + …      s[t+1] = g(s[t], π(s[t]))

Lowering it over recorded states, by the slope through the model, is how a policy learns to plan without planning: it is the
amortised solver of `lowland.energy.Rollout`. The action of a step is the same in all versions of the future: that at their mean.

Source: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import VariableError
from ..spaces import Box, Real
from .costs import QuadraticCost
from .energy import Energy
from .rollout import Rollout
from .world_model import KnownModel


class Driven(Energy):
    """The energy of a state from which a policy drives; what else the plan's energy needs stays a variable.

    Args:
        rollout: The plan's energy. It is not part of this module: training moves the policy alone.
        policy: π, ``(N, *S)`` → ``(N, *A)``.

    Raises:
        VariableError: If the cost has variables that a policy does not see.
    """

    def __init__(self, rollout: Rollout, policy: nn.Module) -> None:
        spaces = {name: space for name, space in rollout.spaces.items() if name != "a"}
        if spaces.keys() - {"s", "z"}:
            raise VariableError(
                f"Driven: a policy sees the state alone; the plan also has {', '.join(spaces.keys() - {'s', 'z'})}."
            )
        super().__init__(**spaces)
        self._rollout = (rollout,)
        self.policy = policy

    @classmethod
    def example(cls) -> Driven:
        law = KnownModel(lambda s, a: s + 0.5 * a, Real(2), Box(-1, 1, 2))
        cost = QuadraticCost(torch.eye(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
        return cls(Rollout(law, cost, 3), nn.Sequential(nn.Linear(2, 2), nn.Tanh()))

    @property
    def rollout(self) -> Rollout:
        """The plan's energy."""
        return self._rollout[0]

    def drive(self, s: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Where it gets ``(M, N, T, *S)`` and ``(M, N, *S)``, as `Rollout.imagine` has it, and what it does ``(N, T, *A)``."""
        model = self.rollout.model
        now, step = s.expand(model.versions, *s.shape), model.prepared()
        states, actions = [], []
        for t in range(self.rollout.horizon):
            states.append(now)
            actions.append(self.policy(now.mean(0)))
            now = step(now, actions[-1], None if z is None else z[:, t])
        return torch.stack(states, 2), now, torch.stack(actions, 1)

    def energies(self, **values: Any) -> Tensor:
        now, last, a = self.drive(**values)
        return self.rollout.total(now, last, a, {})
