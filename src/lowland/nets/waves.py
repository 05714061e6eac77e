"""Sines and cosines beside the input, without which a small network is too smooth for a shape that winds.

Source: Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains, NeurIPS 2020,
section 4; with frequencies that are chosen instead of drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import UsageError


class Waves(nn.Module):
    """x, its length, and sines and cosines of its entries: ``(N, D) → (N, width)``, width = D + 1 + 2 D F.

    Args:
        dim: D, numbers in a sample.
        frequencies: F of them, in radians per unit of x.

    Raises:
        UsageError: If there is no number, or a frequency that is not positive.
    """

    def __init__(self, dim: int, frequencies: Sequence[float] = (2.0, 4.0, 8.0)) -> None:
        if dim < 1 or any(frequency <= 0 for frequency in frequencies):
            raise UsageError(f"Waves: wanted dim ≥ 1 and positive frequencies, got {dim} and {tuple(frequencies)}.")
        super().__init__()
        self.frequencies = tuple(frequencies)
        self.width = dim + 1 + 2 * dim * len(self.frequencies)

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N width"]:
        turned = (x.unsqueeze(-1) * x.new_tensor(self.frequencies)).flatten(1)
        length = (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()  # smooth at 0, too
        return torch.cat([x, length, turned.sin(), turned.cos()], -1)
