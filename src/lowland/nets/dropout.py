"""Dropout that is cheap on a CPU: one random byte decides about one unit.

torch draws a 32-bit number with a Mersenne twister for each, which took a sixth of the time of a Transformer's training step.

Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov, JMLR 15 (2014).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


def dropout(h: Float[Tensor, "*N"], share: float, training: bool) -> Float[Tensor, "*N"]:
    """Some units become 0, the others grow so that means stay; outside training nothing happens.

    Args:
        h: The units.
        share: Which part of them becomes 0, in [0, 1); on a CPU in steps of 1/256, at least one if it is not 0.
        training: Whether it happens.
    """
    if not training or share == 0:
        return h
    if h.device.type != "cpu":
        return nn.functional.dropout(h, share, True)
    parts = min(max(round(256 * share), 1), 255)
    drawn = torch.empty(-(-h.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = (drawn.view(torch.uint8)[: h.numel()] >= parts).view(h.shape)
    return h * kept.to(h.dtype).mul_(256 / (256 - parts))


class Dropout(nn.Module):
    """`dropout` as a layer.

    Args:
        share: Which part of the units becomes 0.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, h: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
        return dropout(h, self.share, self.training)
