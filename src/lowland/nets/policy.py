"""A policy: what to do in a state, inside the box that actions have to lie in; and several of them, of which the best acts.

π(s) = middle + reach ⊙ tanh( net( (s − μ)/σ ) )
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..spaces import Box, Space
from .mlp import mlp


class Policy(nn.Module):
    """A multi-layer perceptron from a state to an action in a box.

    Args:
        state: Space of one state, a vector.
        action: Space of one action, a `Box` with finite bounds.
        hidden: Units of each hidden layer.

    Attributes:
        centre, width: ``(S)``, what is subtracted from a state and what it is divided by; 0 and 1 until `fit_scale`.

    Raises:
        UsageError: If actions have no bounds.
    """

    centre: Tensor
    width: Tensor

    def __init__(self, state: Space, action: Space, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        if not isinstance(action, Box) or action.high - action.low == torch.inf:
            raise UsageError(f"Policy: wanted actions in a box with finite bounds, got {action!r}.")
        self.state, self.action = state, action
        self.net = mlp((state.shape.numel(), *hidden, action.shape.numel()), nn.SiLU)
        self.register_buffer("centre", torch.zeros(state.shape.numel()))
        self.register_buffer("width", torch.ones(state.shape.numel()))

    @torch.no_grad()
    def fit_scale(self, s: Tensor) -> None:
        """Set the units from states ``(N, *S)``."""
        deviation, mean = torch.std_mean(s.flatten(1), 0)
        self.centre.copy_(mean)
        self.width.copy_(deviation.clamp_min(1e-6))

    def forward(self, s: Tensor) -> Tensor:
        """``(N, *S)`` → ``(N, *A)``."""
        middle, reach = (self.action.high + self.action.low) / 2, (self.action.high - self.action.low) / 2
        said = self.net((s.flatten(1) - self.centre) / self.width)
        return middle + reach * said.tanh().unflatten(-1, self.action.shape)


class Starts(nn.Module):
    """Several policies that begin in different places; each learns from its part of a batch, and the best of them acts.

    An energy that a policy lowers has several valleys, and into which one of them a start leads is luck.

    Args:
        policies: Of one space of states and one of actions.

    Attributes:
        best: Number of the one that acts, out of training; 0 until `choose`.

    Raises:
        UsageError: If there is no policy.
    """

    best: Tensor

    def __init__(self, policies: Sequence[Policy]) -> None:
        super().__init__()
        if not policies:
            raise UsageError("Starts: wanted at least one policy, got none.")
        self.state, self.action = policies[0].state, policies[0].action
        self.policies = nn.ModuleList(policies)
        self.register_buffer("best", torch.tensor(0))

    def fit_scale(self, s: Tensor) -> None:
        """As for `Policy`, of all of them."""
        for policy in self._all():
            policy.fit_scale(s)

    def forward(self, s: Tensor) -> Tensor:
        """``(N, *S)`` → ``(N, *A)``; in training the first rows are the first one's."""
        if not self.training:
            return self._all()[int(self.best)](s)
        parts = s.tensor_split(len(self.policies))
        return torch.cat([policy(part) for policy, part in zip(self._all(), parts, strict=True)])

    @torch.no_grad()
    def choose(self, energy: Callable[[], Tensor]) -> Tensor:
        """From now on the one acts whose energy is lowest: ``(K)``, the energies.

        Args:
            energy: What it costs to do as this module says; asked once for each of the policies, and averaged.
        """
        self.eval()
        found = []
        for number in range(len(self.policies)):
            self.best.fill_(number)
            found.append(energy().mean())
        energies = torch.stack(found)
        self.best.copy_(energies.nan_to_num(torch.inf).argmin())
        return energies

    def clip(self, norm: float) -> None:
        """Limit the gradient of each of them by itself, so that none is in the way of another."""
        for policy in self.policies:
            nn.utils.clip_grad_norm_(policy.parameters(), norm)

    def _all(self) -> list[Any]:
        return list(self.policies)
