"""A time-delay net: convolutions over time, each looking further, that classify every frame of a recording.

Sources: Waibel, Hanazawa, Hinton, Shikano & Lang, IEEE Trans. ASSP 37 (1989); Peddinti, Povey & Khudanpur, Interspeech
(2015), for steps that grow; He et al., CVPR (2016), for adding what came in to what comes out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class TimeDelayNet(nn.Module):
    """Features ``(N, C, F)`` → logits ``(N, F′, K)``, one frame for every two: F′ = ⌈F/2⌉.

    Args:
        features: C.
        outputs: K.
        channels: Of each hidden layer.
        steps: How far apart the five frames are that each further layer looks at; its context is 4 · 2 · step frames.
        dropout: The probability that a hidden unit is left out in training.
    """

    def __init__(
        self, features: int, outputs: int, channels: int = 80, steps: tuple[int, ...] = (1, 2, 3), dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv1d(features, channels, 5, stride=2, padding=2), nn.BatchNorm1d(channels), nn.ReLU()
        )
        self.further = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, 5, padding=2 * step, dilation=step),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for step in steps
        )
        self.last = nn.Conv1d(channels, outputs, 1)

    def frames(self, frames: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """How many frames come out for so many that went in."""
        return (frames + 1) // 2

    def forward(self, x: Float[Tensor, "N C F"], frames: Int64[Tensor, " N"]) -> Float[Tensor, "N G K"]:
        """The logits; what lies after the end of each recording counts as silence and is 0.

        Args:
            x: Features, 0 after the end.
            frames: How many of them are there.
        """
        hidden = self.first(x)
        there = (torch.arange(hidden.shape[2], device=x.device) < self.frames(frames)[:, None])[:, None]
        hidden = hidden * there
        for layer in self.further:
            hidden = (hidden + layer(hidden)) * there
        return self.last(hidden).transpose(1, 2)
