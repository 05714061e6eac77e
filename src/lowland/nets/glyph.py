"""A small convolutional net for small pictures of characters, such as letters of 16×8 pixels.

Sources: Simonyan & Zisserman, ICLR (2015), for pairs of 3×3 convolutions; Ioffe & Szegedy, ICML (2015); Srivastava et al.,
JMLR 15 (2014).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class GlyphNet(nn.Module):
    """``(N, H, W)`` → logits ``(N, K)``.

    Args:
        height: H, a multiple of 4.
        width: W, a multiple of 4.
        classes: K.
        maps: How many the first layers have; the further ones have twice as many.
        hidden: Units of the layer before the last.
        dropout: The probability that a unit is left out in training.
    """

    def __init__(
        self, height: int, width: int, classes: int, maps: int = 32, hidden: int = 128, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_layer(1, maps),
            *_layer(maps, maps),
            nn.MaxPool2d(2),
            *_layer(maps, 2 * maps),
            *_layer(2 * maps, 2 * maps),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(2 * maps * (height // 4) * (width // 4), hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Float[Tensor, "N H W"]) -> Float[Tensor, "N K"]:
        return self.layers(x.unsqueeze(1))


def _layer(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
