"""Ladder network: an encoder run twice, clean and noisy, and a decoder that takes the noise off again, layer by layer.

    clean    h⁰ = x          z^l = N(W^l h^{l−1})          h^l = φ(z^l + β^l)
    noisy    h̃⁰ = x + n⁰     z̃^l = N(W^l h̃^{l−1}) + n^l    h̃^l = φ(z̃^l + β^l)
    back     u^L = N(p(h̃^L))     u^l = N(V^{l+1} ẑ^{l+1})     ẑ^l = (z̃^l − μ(u^l)) v(u^l) + μ(u^l)
    errors   e^l = ‖z^l − N_z(ẑ^l)‖² / units               N_z: with the mean and the deviation of the clean layer

N takes off the mean of a batch and divides by its standard deviation, on each path for itself. φ is max(0, ·), and γ · (·) at the
top, whose outputs are log odds: p is their softmax. μ(u) and v(u) are a₁ sigmoid(a₂ u + a₃) + a₄ u + a₅ with numbers of their own
for each unit: ten.

Source: Rasmus, Valpola, Honkala, Berglund & Raiko, Semi-Supervised Learning with Ladder Networks, NIPS 2015, algorithm 1 and eq. 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import UsageError

#: Added to a variance before its root is divided by.
SMALL = 1e-6


class Normalisation(nn.Module):
    """Mean 0 and variance 1 for each unit: of the batch in training, by the running statistics afterwards.

    Args:
        units: D.
        forget: What part of the running statistics each batch replaces.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, units: int, forget: float = 0.01) -> None:
        super().__init__()
        self.forget = forget
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))

    def forward(self, z: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
        """The layer, normalised, and the mean that was taken off it and the scale it was multiplied by."""
        if not self.training:
            scale = (self.variance + SMALL).rsqrt()
            return (z - self.mean) * scale, self.mean, scale
        normal, mean, variance = normalised(z)
        with torch.no_grad():
            self.mean.lerp_(mean, self.forget)
            self.variance.lerp_(variance, self.forget)
        return normal, mean, (variance + SMALL).rsqrt()


def normalised(z: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"], Float[Tensor, " D"]]:
    """The batch with mean 0 and variance 1, and the mean and the variance it had."""
    mean = z.mean(0)
    centred = z - mean
    variance = centred.square().mean(0)
    return centred * (variance + SMALL).rsqrt(), mean, variance


class Combinator(nn.Module):
    """ẑ = (z̃ − μ(u)) v(u) + μ(u): how far to believe a noisy unit, and what to believe instead, by what comes from above.

    Args:
        units: D. Every unit begins with μ(u) = v(u) = 0: nothing is believed.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]).repeat(units, 1).T.contiguous())
        self.trust = nn.Parameter(torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]).repeat(units, 1).T.contiguous())

    def forward(self, z: Float[Tensor, "N D"], u: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        mean = _curve(self.mean, u)
        return torch.addcmul(mean, z - mean, _curve(self.trust, u))


def _curve(a: Float[Tensor, "5 D"], u: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    bend = torch.addcmul(a[2], a[1], u).sigmoid()
    return torch.addcmul(torch.addcmul(a[4], a[3], u), a[0], bend)


class Restored(NamedTuple):
    """What `LadderNet.restored` gives.

    Attributes:
        odds: Log odds of the labels.
        errors: Mean squared error of each layer that is decoded, for each sample. Units: variance of the layer.
        guesses: ẑ of each of those layers, in the units it had before it was normalised.
    """

    odds: Float[Tensor, "N K"]
    errors: dict[int, Float[Tensor, " N"]]
    guesses: dict[int, Float[Tensor, "N D"]]


class LadderNet(nn.Module):
    """The log odds of the labels, and how well the decoder restores each layer.

    Weights multiply in whatever precision the caller has chosen (bfloat16 under autocast); statistics are float32.

    Args:
        sizes: Units of the input, of each hidden layer and of the output.
        noise: Standard deviation of what is added to the input, and to each layer when its own is 1.
        lowest: The decoder goes down to this layer: 0 is the input, L the output, and L + 1 is no decoder at all.

    Raises:
        UsageError: If sizes, noise or lowest layer are impossible.
    """

    def __init__(self, sizes: Sequence[int], noise: float = 0.3, lowest: int = 0) -> None:
        super().__init__()
        top = len(sizes) - 1
        if top < 1 or min(sizes) < 1 or not noise >= 0 or not 0 <= lowest <= top + 1:
            raise UsageError(
                "LadderNet: wanted two or more positive sizes, noise ≥ 0 and a lowest layer from 0 to one more than the top, got "
                f"{tuple(sizes)}, {noise} and {lowest}."
            )
        self.sizes, self.noise, self.lowest = tuple(sizes), noise, lowest
        self.up = nn.ParameterList(_weights(below, above) for below, above in pairwise(sizes))
        self.shift = nn.ParameterList(torch.zeros(units) for units in sizes[1:])
        self.gain = nn.Parameter(torch.ones(sizes[-1]))
        self.layers = nn.ModuleList(Normalisation(units) for units in sizes[1:])
        decoded = range(lowest, top + 1)
        self.combinators = nn.ModuleDict({str(layer): Combinator(sizes[layer]) for layer in decoded})
        self.signals = nn.ModuleDict({str(layer): Normalisation(sizes[layer]) for layer in decoded})
        self.down = nn.ParameterDict(
            {str(layer): _weights(sizes[layer + 1], sizes[layer]) for layer in decoded if layer < top}
        )

    def forward(self, x: Float[Tensor, "N ..."]) -> Float[Tensor, "N K"]:
        """Log odds: by the noisy path in training, by the clean one afterwards."""
        h = x.flatten(1)
        h = self._spoilt(h) if self.training else h
        for layer, weights in enumerate(self.up):
            z = (h @ weights).float()
            z = self._spoilt(normalised(z)[0]) if self.training else self.layers[layer](z)[0]
            h = self._active(layer, z)
        return h

    def restored(self, x: Float[Tensor, "N ..."]) -> Restored:
        """What the decoder makes of the noisy layers; after training, when there is no noise, of the clean ones."""
        clean, scales, noisy, odds = self._encoded(x.flatten(1))
        guesses, errors, signal = {}, {}, odds.softmax(-1)
        for layer in reversed(range(self.lowest, len(self.sizes))):
            u = self.signals[str(layer)](signal)[0]
            guesses[layer] = guess = self.combinators[str(layer)](noisy[layer], u)
            mean, scale = scales[layer]
            errors[layer] = ((guess - mean) * scale - clean[layer]).square().mean(1)
            if layer > self.lowest:
                signal = (guess @ self.down[str(layer - 1)]).float()
        return Restored(odds, errors, guesses)

    def _encoded(
        self, x: Tensor
    ) -> tuple[list[Tensor], list[tuple[Tensor | float, Tensor | float]], list[Tensor], Tensor]:
        """The layers of the clean path, with what normalised them, those of the noisy path, and the log odds.

        The two paths share a product with each matrix: twice the rows cost less than two products.
        """
        noisy = [self._spoilt(x)] if self.training else [x]
        clean: list[Tensor] = [x]
        scales: list[tuple[Tensor | float, Tensor | float]] = [(0.0, 1.0)]
        h = torch.cat([x, noisy[0]]) if self.training else x
        for layer, weights in enumerate(self.up):
            z = (h @ weights).float()
            normal, mean, scale = self.layers[layer](z[: len(x)])
            clean.append(normal)
            scales.append((mean, scale))
            noisy.append(self._spoilt(normalised(z[len(x) :])[0]) if self.training else normal)
            h = self._active(layer, torch.cat([normal, noisy[-1]]) if self.training else normal)
        return clean, scales, noisy, h[-len(x) :]

    def _active(self, layer: int, z: Tensor) -> Tensor:
        return self.gain * (z + self.shift[layer]) if layer == len(self.up) - 1 else (z + self.shift[layer]).relu()

    def _spoilt(self, z: Tensor) -> Tensor:
        return torch.add(z, torch.randn_like(z), alpha=self.noise)


def _weights(inputs: int, outputs: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
