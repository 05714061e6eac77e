"""Where a thing is in a picture, its looks known: the energy of the picture with the thing set down at each place.

    E(p) = ½ Σ_q ‖y(q) − still(q) − α(q − p) · seen(q) · (colour − still(q))‖² / σ²,     less what it is without the thing

Two correlations give it at all whole places, for it is quadratic in α; between them it is nearly a parabola, whose lowest point is taken.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.fft import irfft2, rfft2
from torch.nn.functional import pad

#: How far around the likeliest place its mean is taken, in pixels: of two places that are apart, the mean is neither.
ABOUT = 4


class TemplateSearch:
    """Looks for one thing in each frame of N films.

    Args:
        frames: ``(N, T, 3, S, S)``.
        still: ``(N, 3, S, S)``, what is there without the thing.
        seen: ``(N, 1, S, S)``, 1 where the thing would be seen, 0 where a screen stands before it.
        shape: ``(N, W, W)``, W odd: how much of a pixel it covers, around its place.
        colour: ``(N, 3, 1, 1)``.
        margin: How far to the left and the right of the picture it may be, in pixels; above and below it's W // 2.
        noise: σ, how far off a pixel may be; the smaller, the more a picture counts beside what is expected.
    """

    def __init__(
        self, frames: Tensor, still: Tensor, seen: Tensor, shape: Tensor, colour: Tensor, margin: int, noise: float
    ) -> None:
        edge, side = shape.shape[-1] // 2, frames.shape[-1]
        contrast = (colour - still) * seen
        drawn = ((frames - still[:, None]) * contrast[:, None]).sum(2)
        square = contrast.square().sum(1, keepdim=True)
        energy = 0.5 * _correlated(square, shape.square()) - _correlated(drawn, shape)
        energy = pad(energy / noise**2, (margin - edge, margin - edge))
        #: Whole places to the right ``(X,)`` and down ``(Y,)``, and how far from the middle it may be.
        self.x, self.y = torch.arange(-margin, side + margin), torch.arange(-edge, side + edge)
        self.low, self.high = torch.tensor([self.x[0], self.y[0]]), torch.tensor([self.x[-1], self.y[-1]])
        beside, above = pad(energy, (1, 1)), pad(energy, (0, 0, 1, 1))
        right = self.x + _lowest(beside[..., :-2], energy, beside[..., 2:])
        down = self.y[:, None] + _lowest(above[..., :-2, :], energy, above[..., 2:, :])
        self.places = torch.stack([right, down], -1).flatten(2, 3)
        self.energy = energy.flatten(2)

    def __call__(self, frame: int, expected: Float[Tensor, "N P"]) -> Float[Tensor, "N 2"]:
        """The likeliest place in a frame, and the mean of those about it: as likely as expected (log odds, by rows) and as they fit."""
        odds = expected - self.energy[:, frame]
        best = odds.argmax(1, keepdim=True)
        columns, rows = best % len(self.x), best // len(self.x)
        aside = (torch.arange(len(self.x)) - columns).abs()[:, None] > ABOUT
        above = (torch.arange(len(self.y)) - rows).abs()[:, :, None] > ABOUT
        chance = odds.masked_fill((aside | above).flatten(1), -torch.inf).softmax(-1)
        return torch.einsum("np,npd->nd", chance, self.places[:, frame])

    def near(self, place: Float[Tensor, "N 2"], spread: Float[Tensor, "N 2"]) -> Float[Tensor, "N P"]:
        """Log odds of all places of a thing that is expected at one of them; once in ten thousand it is anywhere about."""
        place = place.clamp(self.low, self.high)
        x, y = (self.x - place[:, :1]).square()[:, None], (self.y - place[:, 1:]).square()[:, :, None]
        wide = spread.square() + 0.25  # places are a pixel apart
        sharp = 0.5 * (x / wide[:, :1, None] + y / wide[:, 1:, None])
        return -torch.minimum(sharp, 9 + (x + y) / 72).flatten(1)


def _correlated(maps: Float[Tensor, "N T S S"], shape: Float[Tensor, "N W W"]) -> Float[Tensor, "N T R R"]:
    """Maps and a shape at all places where they overlap, W // 2 outside of the map and more: R = S + W − 1."""
    size = (maps.shape[-1] + shape.shape[-1] - 1,) * 2
    return irfft2(rfft2(maps.float(), s=size) * rfft2(shape.flip(1, 2).float(), s=size)[:, None], s=size)


def _lowest(before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    """Where a parabola through three places is lowest, from the one in the middle; not farther than where the next begins."""
    return (0.5 * (before - after) / (before + after - 2 * here).clamp_min(1e-2)).clamp(-0.6, 0.6)
