"""Multi-layer perceptron: linear layers with a nonlinearity between them.

Source: Rumelhart, Hinton & Williams, Nature 323 (1986); dropout as in Srivastava et al., JMLR 15 (2014), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from ..errors import UsageError


def mlp(
    sizes: Sequence[int],
    nonlinearity: Callable[[], nn.Module] = nn.ReLU,
    *,
    dropout: float = 0.0,
    dropout_input: float = 0.0,
) -> nn.Sequential:
    """Linear layers from ``(N, sizes[0])`` to ``(N, sizes[-1])``; what lies behind the batch is flattened first.

    Args:
        sizes: Length of the input, of each hidden layer and of the output.
        nonlinearity: Makes the module after each layer but the last.
        dropout: Probability that a hidden unit is silent in a step of training.
        dropout_input: The same for an input.

    Raises:
        UsageError: If there are fewer than two sizes, or one is not positive.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise UsageError(f"mlp: wanted two or more positive sizes (input, hidden …, output), got {tuple(sizes)}.")
    layers: list[nn.Module] = [nn.Flatten()]
    if dropout_input:
        layers.append(nn.Dropout(dropout_input))
    for before, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), nonlinearity()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
