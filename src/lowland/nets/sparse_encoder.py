"""Encoders that guess a sparse code in one look: filters, and a nonlinearity that keeps most of the answers near 0.

    guess = unit(A y + c)                        for patches
    guess = unit(A ∗ y + c) / L                  for images, one map for each filter
    unit(s) = g tanh(s / g)                      with a gain g for each unit
    unit(s) = sign(s) (1/β log(e^βb + e^β|s| − 1) − b)      smooth shrinkage: 0 at 0, |s| − b where |s| is large

Sources: Kavukcuoglu, Ranzato & LeCun, Fast Inference in Sparse Coding Algorithms, technical report CBLL-TR-2008-12-01, eq. 4 (gain
and tanh); Kavukcuoglu et al., Learning Convolutional Feature Hierarchies for Visual Recognition, NIPS 2010, eq. 5 (smooth shrinkage).
Differences from the papers: 1. the gain also divides inside the tanh, so that units begin with slope 1.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, softplus


class GainTanh(nn.Module):
    """g tanh(s / g): answers between −g and g, with a g > 0 for each unit, in the units of the code.

    Args:
        *shape: Of what is learnt: ``(K,)`` for codes, ``(K, 1, 1)`` for maps.
        gain: g at first.
    """

    def __init__(self, *shape: int, gain: float = 5.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full(shape, gain))

    def forward(self, s: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return self.gain * torch.tanh(s / self.gain)


class SmoothShrinkage(nn.Module):
    """A soft threshold with a round knee: it has a slope everywhere, so a unit that says 0 can still learn.

    Args:
        *shape: Of what is learnt: ``(K,)`` for codes, ``(K, 1, 1)`` for maps.
        threshold: b ≥ 0 at first, in the units of the code.
        sharpness: β > 0 at first, in one over the units of the code; the knee is about 1/β wide.
    """

    def __init__(self, *shape: int, threshold: float = 0.5, sharpness: float = 10.0) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.full(shape, threshold))
        self.log_sharpness = nn.Parameter(torch.full(shape, math.log(sharpness)))

    def forward(self, s: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        threshold, sharpness = self.threshold.clamp_min(1e-3), self.log_sharpness.exp()
        above = softplus(sharpness * (s.abs() - threshold))  # log(1 + e^(β(|s| − b)))
        # log(1 + e^t − e^−βb) with t = β(|s| − b), which is what makes the answer 0 at 0
        above = above + torch.log(-torch.expm1(-sharpness * threshold - above))
        return s.sign() * above / sharpness


class SparseEncoder(nn.Module):
    """unit(A y + c).

    Args:
        dim: D, the length of one observation.
        atoms: K, the length of a code.
        unit: The nonlinearity, from ``(*B, K)`` to ``(*B, K)``.
    """

    def __init__(self, dim: int, atoms: int, unit: nn.Module) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, atoms)
        self.unit = unit

    @torch.no_grad()
    def follow(self, dictionary: Float[Tensor, "D K"], gain: float = 0.5) -> None:
        """Begin by asking how much of each atom there is."""
        self.linear.weight.copy_(gain * dictionary.T)
        self.linear.bias.zero_()

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        return self.unit(self.linear(y))


class ConvolutionalSparseEncoder(nn.Module):
    """unit(A ∗ y + c) / L: maps that are larger than the image by the kernel less one, as `ConvolutionalReconstruction` wants them.

    L is fixed: filters that overlap share what they find, so guesses are much smaller than what the filters answer, and without L
    the filters would have to be as small.

    Args:
        channels: C, of the image.
        maps: K, how many feature maps.
        kernel: Side of the square filters, in pixels.
        unit: The nonlinearity, from ``(B, K, h, w)`` to the same, in the units of the filters' answers.
    """

    curvature: Tensor

    def __init__(self, channels: int, maps: int, kernel: int, unit: nn.Module) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, maps, kernel, padding=kernel - 1)
        self.unit = unit
        self.register_buffer("curvature", torch.ones(()))

    @torch.no_grad()
    def follow(self, filters: Float[Tensor, "K C s s"], curvature: float) -> None:
        """Begin by asking how much of each filter there is at each place, as one step of ISTA does.

        Args:
            filters: Of the decoder.
            curvature: L > 0, at most the decoder's; guesses in one look are better with less of it.
        """
        self.convolution.weight.copy_(filters.flip(2, 3))
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        self.curvature.fill_(curvature)

    def forward(self, y: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K h w"]:
        return self.unit(self.convolution(y)).to(y) / self.curvature  # a search goes on from here, at y's precision


class ConvolutionalLISTA(nn.Module):
    """A recurrent encoder: z ← h_θ(z + A ∗ (y − D ∗ z)), begun at z = 0; h_θ is the soft threshold with a θ for each map.

    LISTA with S = I − A D, which has far fewer numbers than a free S: of two filters each of its entries is a correlation
    (Sreter & Giryes, Learned Convolutional Sparse Coding, ICASSP 2018, eq. 7). What is learnt is L A and L θ, with L fixed, so that it
    is of the size of the decoder's filters and of λ.

    Args:
        channels: C, of the image.
        maps: K, how many feature maps.
        kernel: Side of the square filters, in pixels.
        layers: How many times the guess is corrected; there are ``layers + 1`` thresholds, all the same.
    """

    curvature: Tensor

    def __init__(self, channels: int, maps: int, kernel: int, layers: int) -> None:
        super().__init__()
        self.layers, self.margin = layers, kernel - 1
        scale = (channels * kernel * kernel) ** -0.5
        self.A = nn.Parameter(scale * torch.randn(maps, channels, kernel, kernel))
        self.D = nn.Parameter(scale * torch.randn(channels, maps, kernel, kernel))
        self.threshold = nn.Parameter(torch.zeros(maps, 1, 1))
        self.register_buffer("curvature", torch.tensor(float(maps)))

    @torch.no_grad()
    def follow(self, filters: Float[Tensor, "K C s s"], weight: float, curvature: float) -> None:
        """Become ``layers + 1`` steps of ISTA from zero, for this decoder, weight of the L1 term and largest curvature."""
        self.A.copy_(filters.flip(2, 3))
        self.D.copy_(filters.transpose(0, 1))
        self.threshold.fill_(weight)
        self.curvature.fill_(curvature)

    def forward(self, y: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K h w"]:
        threshold = self.threshold.clamp_min(0) / self.curvature
        z = self._shrink(conv2d(pad(y, [self.margin] * 4), self.A) / self.curvature, threshold)
        for _ in range(self.layers):
            left = pad(y - conv2d(z, self.D), [self.margin] * 4)
            z = self._shrink(z + conv2d(left, self.A) / self.curvature, threshold)
        return z.to(y)

    @staticmethod
    def _shrink(s: Tensor, threshold: Tensor) -> Tensor:
        return s - s.clamp(-threshold, threshold)
