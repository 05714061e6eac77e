"""A recogniser of every candidate piece of a line of writing: one convolutional pass over the line, then a small head a piece.

The trunk is run once over the whole line, so a piece costs only a look at the trunk's columns under it: a few places spread
evenly over the piece and a little beyond, interpolated between columns, and two layers. Looking and the first layer are one
matrix product: the layer is applied to all columns first, for each place, and interpolation, being linear, comes after it.

Sources: Matan, Burges, LeCun & Denker, NIPS 4 (1992), and LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), section VII
(a net replicated over its input); Girshick, Fast R-CNN, ICCV (2015) (a head on regions of shared features).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

BEYOND = 0.15
"""How far a piece's places reach beyond its ends, as a part of its width."""
TYPICAL = 16.0
"""Width of a typical digit, in columns."""


class SegmentRecogniser(nn.Module):
    """Log-probabilities of the classes of every candidate piece: ``(B, H, W)`` ink and ``(B, N + 1)`` cuts → ``(B, N, D, C)``.

    Entry (n, d) is the piece that ends at cut n + 1 and begins at cut n − d (of nothing, where n < d).

    Args:
        height: H, in pixels, a multiple of 8.
        classes: C.
        longest: D, the most neighbouring pieces between cuts that make one candidate.
        channels: Maps of the five stages of the trunk; columns are halved once, rows three times.
        hidden: Units of the head.
        places: How many places of a piece the head looks at.
        dropout: Probability that a unit of the head, or of the trunk's last stage, is silent in a step of training.
        bfloat16: Whether convolutions and products are computed in half precision: twice as fast on processors that can.
    """

    def __init__(
        self,
        height: int = 40,
        classes: int = 12,
        longest: int = 8,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        hidden: int = 128,
        places: int = 5,
        dropout: float = 0.2,
        bfloat16: bool = False,
    ) -> None:
        super().__init__()
        first, second, third, fourth, last = channels
        self.longest, self.places, self.hidden, self.brief = longest, places, hidden, bfloat16
        self.trunk = nn.Sequential(
            nn.Conv2d(1, first, 5, padding=2, bias=False),
            nn.MaxPool2d(2),  # before the rectifier, with which it commutes: a quarter of the work
            nn.BatchNorm2d(first),
            nn.ReLU(),
            *_stage(first, second, 3, 1),
            nn.MaxPool2d((2, 1)),
            *_stage(second, third, 3, 1),
            *_stage(third, third, 3, 1),
            nn.MaxPool2d((2, 1)),
            nn.Dropout2d(dropout / 2),
            *_stage(third, fourth, 3, 1),
            *_stage(fourth, last, (height // 8, 3), (0, 1)),
            nn.Dropout(dropout),
        )
        self.look = nn.Conv1d(last, places * hidden, 1)
        self.size = nn.Linear(2, hidden)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, ink: Float[Tensor, "B H W"], cuts: Float[Tensor, "B places"]) -> Float[Tensor, "B N D C"]:
        with torch.autocast(ink.device.type, torch.bfloat16, enabled=self.brief):
            columns = self.trunk(ink[:, None].contiguous(memory_format=torch.channels_last)).squeeze(2)
            batch, count = len(ink), cuts.shape[1] - 1
            end = torch.arange(1, count + 1, device=cuts.device)[:, None]
            begin = (end - 1 - torch.arange(self.longest, device=cuts.device)).clamp_min(0)
            low, width = cuts[:, begin], (cuts[:, 1:, None] - cuts[:, begin]).clamp_min(1.0)
            seen = self._weights(low, width, columns.shape[2]).to(columns.dtype)
            answers = self.look(columns).view(batch, self.places, self.hidden, -1).transpose(2, 3).flatten(1, 2)
            looked = torch.bmm(seen.flatten(3).flatten(1, 2), answers).view(batch, count, self.longest, self.hidden)
            relative = width / TYPICAL
            logits = self.head(looked + self.size(torch.stack([relative, relative.log()], -1)))
        return logits.to(ink.dtype).log_softmax(-1)

    def _weights(self, low: Tensor, width: Tensor, columns: int) -> Float[Tensor, "B N D P columns"]:
        """How much each place of each piece sees of each column of the trunk: a triangle at least one column wide."""
        spread = (torch.arange(self.places, device=low.device) + 0.5) / self.places * (1 + 2 * BEYOND) - BEYOND
        place = (low[..., None] + width[..., None] * spread) / 2 - 0.25
        reach = (width * (1 + 2 * BEYOND) / (2 * self.places)).clamp_min(1.0)[..., None, None]
        distance = (place[..., None] - torch.arange(columns, device=low.device)).div_(reach).abs_()
        return distance.neg_().add_(1).clamp_min_(0).div_(reach)


def _stage(before: int, after: int, kernel: int | tuple[int, int], padding: int | tuple[int, int]) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, padding=padding, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
