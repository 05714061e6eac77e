"""Autoencoders: of one layer, whose decoder is the encoder's transpose, and of several, whose decoder is its mirror image.

    h = s(W x + b)          encoder: a layer of units s that are flat somewhere
    r = Wᵀ h + c            decoder: the same weights; logits, where x are bits or grey levels, else x itself

Sources: Vincent et al., JMLR 11 (2010), section 2.2, for tied weights; Goroshin & LeCun, ICLR 2013, section 2, for units that saturate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, softshrink

from ..errors import UsageError
from .mlp import mlp


class Unit(NamedTuple):
    """An element-wise nonlinearity.

    Attributes:
        value: s(a).
        slope: s′(a).
        reach: How far weights are drawn from 0 at first, where ±1 keeps a layer of linear units at the scale of its input.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    reach: float


def _sigmoid_slope(a: Tensor) -> Tensor:
    h = a.sigmoid()
    return h * (1 - h)


#: "relu" is flat below 0, "clip" (a saturating line) below 0 and above 1, "shrink" between −1 and 1, "sigmoid" far from 0.
UNITS: Mapping[str, Unit] = {
    "sigmoid": Unit(torch.sigmoid, _sigmoid_slope, 4.0),
    "relu": Unit(torch.relu, lambda a: (a > 0).to(a), 1.0),
    "clip": Unit(lambda a: a.clamp(0, 1), lambda a: ((a > 0) & (a < 1)).to(a), 1.0),
    "shrink": Unit(lambda a: softshrink(a, 1.0), lambda a: (a.abs() > 1).to(a), 1.0),
}


class UnitLayer(nn.Module):
    """h = s(Wx + b), with the slopes of its units: ∂h/∂x = diag(s′(Wx + b)) W.

    Args:
        dim: D, the length of one input; what lies behind the batch is flattened.
        hidden: K, how many units.
        unit: "sigmoid", "relu", "clip" or "shrink".

    Attributes:
        weight: ``(K, D)``, drawn uniformly within ± reach · √(6 / (D + K)) (Glorot & Bengio, AISTATS 2010).
        bias: ``(K,)``, 0 at first.

    Raises:
        UsageError: If there is no such unit.
    """

    def __init__(self, dim: int, hidden: int, unit: str = "sigmoid") -> None:
        super().__init__()
        if unit not in UNITS:
            raise UsageError(f"UnitLayer: wanted a unit among {', '.join(UNITS)}, got {unit!r}.")
        self.unit = unit
        reach = UNITS[unit].reach * (6 / (dim + hidden)) ** 0.5
        self.weight = nn.Parameter(torch.empty(hidden, dim).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.zeros(hidden))

    def activations(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N K"]:
        """Wx + b, before the nonlinearity."""
        return linear(x.flatten(1), self.weight, self.bias).to(
            self.weight.dtype
        )  # in half precision a slope would be lost

    def slopes(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N K"]:
        """s′(Wx + b): how far each unit is from being flat."""
        return UNITS[self.unit].slope(self.activations(x))

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N K"]:
        return UNITS[self.unit].value(self.activations(x))


class TiedAutoencoder(nn.Module):
    """Wᵀ s(Wx + b) + c, in the shape of x.

    Args:
        dim: D, how many numbers one input has.
        hidden: K, how many units its code has.
        unit: As for `UnitLayer`.

    Attributes:
        encoder: The `UnitLayer`.
        bias: c, ``(D,)``, 0 at first.
    """

    def __init__(self, dim: int, hidden: int, unit: str = "sigmoid") -> None:
        super().__init__()
        self.encoder = UnitLayer(dim, hidden, unit)
        self.bias = nn.Parameter(torch.zeros(dim))

    def decode(self, h: Float[Tensor, "N K"]) -> Float[Tensor, "N D"]:
        """What a code stands for."""
        return linear(h, self.encoder.weight.T, self.bias)

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N ..."]:
        return self.decode(self.encoder(x)).reshape(x.shape)


class DeepAutoencoder(nn.Module):
    """An encoder of rectifiers and a decoder with the same sizes backwards; the weights are not tied.

    Args:
        sizes: How many numbers one input has, the hidden units of each layer, and the length of the code.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(sizes), mlp(sizes[::-1])

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N ..."]:
        return self.decoder(self.encoder(x)).reshape(x.shape)
