"""What-where autoencoder: pooling says what it saw upwards, and where it saw it sideways, so that the way back needs not guess.

    up      m_l, w_l = pool(φ(C_l m_{l−1}))      what: the largest of each patch;  where: which one it was, the switch
    down    m̂_{l−1} = φ(C_lᵀ unpool(m̂_l, w_l))    what goes back to where it came from, all else is zero;  m̂_L = m_L

Source: Zhao, Mathieu, Goroshin & LeCun, Stacked What-Where Auto-encoders, ICLR workshop 2016 (arXiv:1506.02351), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, max_unpool2d

from ..errors import UsageError


class Views(NamedTuple):
    """What `WhatWhereNet.views` gives.

    Attributes:
        odds: Log odds of the labels.
        up: m_0 (the image) … m_L: what each layer was told, ``(N, C, H, W)``.
        down: m̂_0 … m̂_{L−1}: what the way back makes of them.
    """

    odds: Float[Tensor, "N K"]
    up: list[Tensor]
    down: list[Tensor]


class WhatWhereNet(nn.Module):
    """Convolutions, each followed by pooling of 2 × 2 pixels, a linear layer for the labels, and the way back.

    Args:
        side: Pixels of a side of the image; divided by 2 as often as there are layers, rounded down.
        channels: Of each convolution's output.
        kernels: Pixels of a side of each convolution's window; odd.
        classes: How many labels.
        dropout: Probability that a number of the topmost layer is hidden from the linear one in training.
        back: Whether there is a way back.
        where: Whether the way back is told the switches; otherwise what was seen is put at every pixel of its patch.

    Raises:
        UsageError: If these don't fit together.
    """

    def __init__(
        self,
        side: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        classes: int,
        dropout: float = 0.0,
        back: bool = True,
        where: bool = True,
    ) -> None:
        super().__init__()
        top = side >> len(channels)
        if len(channels) != len(kernels) or top < 1 or any(kernel % 2 == 0 for kernel in kernels):
            raise UsageError(
                f"WhatWhereNet: wanted an odd kernel for each layer and no more layers than {side} pixels can be halved, got "
                f"channels {tuple(channels)} and kernels {tuple(kernels)}."
            )
        self.where = where
        sizes = list(pairwise((1, *channels)))
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(below, above, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(above), nn.ReLU()
            )
            for (below, above), kernel in zip(sizes, kernels, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(above, below, kernel, padding=kernel // 2),
                nn.Sigmoid() if below == 1 else nn.ReLU(),
            )
            for (below, above), kernel in zip(sizes, kernels, strict=True)
            if back
        )
        self.label = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(channels[-1] * top * top, classes))

    def forward(self, x: Float[Tensor, "N H W"]) -> Float[Tensor, "N K"]:
        """Log odds alone: there is no way back."""
        what = x.unsqueeze(1)
        for layer in self.up:
            what = max_pool2d(layer(what), 2)
        return self.label(what).float()

    def views(self, x: Float[Tensor, "N H W"]) -> Views:
        """Log odds, and what each layer is told on the way up and on the way back."""
        up, switches, shapes = [x.unsqueeze(1)], [], []
        for layer in self.up:
            seen = layer(up[-1])
            what, where = max_pool2d(seen, 2, return_indices=True)
            up.append(what)
            switches.append(where)
            shapes.append(seen.shape[-2:])
        back, down = up[-1], []
        for layer, where, shape in zip(reversed(self.down), reversed(switches), reversed(shapes), strict=True):
            spread = max_unpool2d(back, where, (2, 2), output_size=shape) if self.where else interpolate(back, shape)
            back = layer(spread)
            down.append(back)
        return Views(self.label(up[-1]).float(), up, down[::-1])
