"""A policy: what to do in a state, inside the box that actions have to lie in.

π(s) = middle + reach ⊙ tanh( net( (s − μ)/σ ) )
"""

from __future__ import annotations

from collections.abc import Sequence

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
