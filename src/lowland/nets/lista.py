"""Encoders that guess a sparse code: a search cut short, whose matrices are then learnt.

    LISTA   z ← h_θ(By);  T times  z ← h_θ(By + S z)
    LCoD    b ← By;  T times, for the k that moves most:  b ← b + S_k (h_θ(b)_k − z_k),  z_k ← h_θ(b)_k;  z = h_θ(b)

h_θ is the soft threshold, with a θ for each unit; B, S and θ are the same in every layer. They begin as the search they
cut short, ISTA with B = Wᵀ/L, S = I − WᵀW/L, θ = λ/L (greedy coordinate descent: L = 1), for a decoder W.

Source: Gregor & LeCun, Learning Fast Approximations of Sparse Coding, ICML 2010, algorithms 3 and 4.
Differences from the paper: none known.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class _CutShort(nn.Module):
    """What both have: B ``(K, D)``, S ``(K, K)``, θ ``(K,)``, in the units of the code."""

    def __init__(self, dim: int, atoms: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.B = nn.Parameter(torch.randn(atoms, dim) / dim**0.5)
        self.S = nn.Parameter(torch.zeros(atoms, atoms))
        self.threshold = nn.Parameter(torch.zeros(atoms))

    @torch.no_grad()
    def _follow(self, dictionary: Tensor, weight: float, curvature: float) -> None:
        identity = torch.eye(dictionary.shape[1], device=dictionary.device, dtype=dictionary.dtype)
        self.B.copy_(dictionary.T / curvature)
        self.S.copy_(identity - dictionary.T @ dictionary / curvature)
        self.threshold.fill_(weight / curvature)

    def shrink(self, value: Tensor) -> Tensor:
        """h_θ, entry by entry."""
        threshold = self.threshold.clamp_min(0)
        return value - value.clamp(-threshold, threshold)


class LISTA(_CutShort):
    """Learned ISTA with tied layers.

    Args:
        dim: D, the length of one observation.
        atoms: K, the length of a code.
        layers: T, how many times S is applied; there are T + 1 thresholds.
    """

    def follow(self, dictionary: Float[Tensor, "D K"], weight: float) -> None:
        """Become T + 1 steps of ISTA from zero, for this decoder and this weight of the L1 term."""
        curvature = float(torch.linalg.eigvalsh(dictionary.T @ dictionary)[-1])
        self._follow(dictionary, weight, curvature)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        start = y @ self.B.T
        z = self.shrink(start)
        for _ in range(self.layers):
            z = self.shrink(start + z @ self.S.T)
        return z


class LCoD(_CutShort):
    """Learned coordinate descent, greedy.

    Args:
        dim: D, the length of one observation.
        atoms: K, the length of a code.
        layers: T, how many entries are moved, one after the other.
    """

    def follow(self, dictionary: Float[Tensor, "D K"], weight: float) -> None:
        """Become T steps of greedy coordinate descent from zero, for a decoder with columns of length 1."""
        self._follow(dictionary, weight, 1.0)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        left = y @ self.B.T
        z = torch.zeros_like(left)
        for _ in range(self.layers):
            moves = self.shrink(left) - z
            chosen = moves.abs().argmax(-1, keepdim=True)
            move = moves.gather(-1, chosen)
            left = left + move * self.S.T[chosen.squeeze(-1)]
            z = z.scatter_add(-1, chosen, move)
        return self.shrink(left)
