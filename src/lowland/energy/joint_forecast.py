"""Forecasts in embedding space: how well the embedding of what came next is predicted, pixels and all else left out.

    joint forecast   E(s, a, y)  = ½ Σ_t ‖f(y[t]) − g(f(s), a)[t]‖²      f an encoder, g a world model of embeddings
    plan to a goal   E(s, a)     = the energy of a plan from f(now) to f(goal), s = (now, goal)

An encoder that says the same of everything makes the forecast perfect: train it with `lowland.objectives.VarianceCovariance`.

Sources: LeCun, A Path Towards Autonomous Machine Intelligence (2022), section 4.4; Sobal et al., Learning from Reward-Free Offline Data,
arXiv 2502.14819 (2025); Bardes, Ponce & LeCun, VICReg, ICLR 2022.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..errors import StructureError
from ..spaces import Real, Space
from .costs import GoalDistance
from .energy import Energy
from .rollout import Rollout
from .world_model import KnownModel, WorldModel, over_time


class JointForecast(Energy):
    """½‖f(y) − g(f(s), a)‖² summed over the steps, mean over the versions of g. Units: those of the embedding, squared.

    Args:
        encoder: f, from ``(N, *state)`` to ``(N, D)``.
        model: g, a world model whose states are embeddings: ``Real(D)``.
        state: Space of what is seen.
        horizon: T, how many steps in a row are predicted, each from the last prediction.
    """

    def __init__(self, encoder: nn.Module, model: WorldModel, state: Space, horizon: int = 1) -> None:
        super().__init__(s=state, a=over_time(model.action, horizon), y=over_time(state, horizon))
        self.encoder, self.model = encoder, model

    @classmethod
    def example(cls) -> JointForecast:
        law = KnownModel(lambda s, a: s + a.tanh(), Real(3), Real(3))
        return cls(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh()), law, Real(2, 2), 2)

    def energies(self, s: Tensor, a: Tensor, y: Tensor) -> Tensor:
        seen = torch.cat([s.unsqueeze(1), y], 1)
        h = self.encoder(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        future = self.model.rollout(h[:, 0], a)
        return 0.5 * (h[:, 1:] - future).square().sum((-2, -1)).mean(0)


class TowardsGoal(Energy):
    """What a plan costs in embedding space, from the present picture to that of a goal: an energy of ``s`` (both of them) and ``a``.

    Args:
        encoder: f, from ``(N, *picture)`` to ``(N, D)``.
        rollout: The plan's energy, of embeddings ``s``, ``goal`` and of ``a``: costs are `GoalDistance` and the like.
        picture: Space of one picture; ``s`` is two of them: now, and the goal.

    Raises:
        StructureError: If the plan's energy has no goal.
    """

    def __init__(self, encoder: nn.Module, rollout: Rollout, picture: Space) -> None:
        if rollout.spaces.keys() != {"s", "a", "goal"}:
            raise StructureError(
                f"TowardsGoal: wanted a plan's energy of s, a and goal, got {', '.join(rollout.spaces)}."
            )
        super().__init__(s=over_time(picture, 2), a=rollout.spaces["a"])
        self.encoder, self.rollout = encoder, rollout

    @classmethod
    def example(cls) -> TowardsGoal:
        law = KnownModel(lambda s, a: s + a.tanh(), Real(3), Real(3))
        rollout = Rollout(law, None, 3, final=GoalDistance(Real(3)))
        return cls(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh()), rollout, Real(2, 2))

    @property
    def model(self) -> WorldModel:
        """The world model of embeddings."""
        return self.rollout.model

    def embed(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings of now and of the goal, ``(*B, D)`` each."""
        batch = self.spaces["s"].batch_shape(s, "s")
        h = self.encoder(s.reshape(batch.numel() * 2, *self.spaces["s"].shape[1:]))
        h = h.reshape(*batch, 2, h.shape[-1])
        return h[..., 0, :], h[..., 1, :]

    def energies(self, s: Tensor, a: Tensor) -> Tensor:
        now, goal = self.embed(s)
        return self.rollout(s=now, a=a, goal=goal)

    def given(self, **observed: Any) -> Energy:
        """With the pictures known they are embedded once, and not looked at again for any candidate."""
        if isinstance(observed.get("s"), Tensor):
            now, goal = self.embed(observed["s"])
            rest = {name: value for name, value in observed.items() if name != "s"}
            return self.rollout.given(s=now, goal=goal, **rest)
        return super().given(**observed)
