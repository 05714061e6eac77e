"""How much like an edge detector is a patch: oriented, localised, a Gabor function?

    g(u) = exp(−½ (p²/σ_p² + q²/σ_q²)) cos(2π f·u + φ),     p, q: u turned by an angle of its own

Three questions about a patch, none of which needs the others:

- `fit_gabors`: which part of its energy does the best Gabor function explain?
- `orientation_selectivity`: how much less does it answer to a grating at right angles to the best one?
- `spread`: how much of its area does its energy fill?

Sources: Daugman, J. Opt. Soc. Am. A 2 (1985), for the function; Jones & Palmer, J. Neurophysiology 58 (1987), for the fit;
Niell & Stryker, J. Neuroscience 28 (2008), for the index of selectivity; Treves & Rolls, Network 2 (1991), for the measure of
spread.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d


def orientation_selectivity(patches: Float[Tensor, "N H W"]) -> Float[Tensor, " N"]:
    """(a − b) / (a + b) of the answers to a grating of the patch's best spatial frequency, a, and to the same turned by 90°, b.

    The phase is the best at each orientation. A spot scores 0, a grating 1; a neuron is called selective from ⅓, where the
    turned grating gets half the answer.
    """
    best = _peaks(patches, 1).squeeze(1)
    turned = torch.stack([best[:, 1], -best[:, 0]], 1)
    phase = 2 * math.pi * torch.einsum("fnd,dhw->fnhw", torch.stack([best, turned]), _grid(patches))
    even, odd = (patches * phase.cos()).sum((2, 3)), (patches * phase.sin()).sum((2, 3))
    a, b = even.hypot(odd)
    return (a - b) / (a + b).clamp_min(torch.finfo(a.dtype).tiny)


def spread(patches: Float[Tensor, "N H W"], blur: float = 1.0) -> Float[Tensor, " N"]:
    """The fraction of its area that a patch fills, (Σe)² / (N Σe²) of its local energy e: 1 for a flat one or a grating.

    Args:
        patches: The patches.
        blur: Standard deviation of the Gaussian that makes squared pixels a local energy, in pixels.
    """
    side = torch.arange(-3, 4) / blur
    kernel = (-0.5 * (side.square().unsqueeze(1) + side.square())).exp()
    local = conv2d(patches.square().unsqueeze(1), (kernel / kernel.sum())[None, None].to(patches), padding=3).flatten(1)
    return local.sum(1).square() / (local.square().sum(1) * local.shape[1])


def fit_gabors(patches: Float[Tensor, "N H W"], starts: int = 4, steps: int = 300) -> Float[Tensor, " N"]:
    """The part of each patch's energy that one Gabor function explains, at most 1.

    Args:
        patches: The patches.
        starts: Peaks of the spectrum from which centre, frequency, widths and angle are fitted; amplitude and phase have
            a closed form. The best fit counts.
        steps: Of Adam.
    """
    count = len(patches)
    rows, columns = _grid(patches)
    energy = patches.square() / patches.square().sum((1, 2), keepdim=True)
    centre = torch.stack([(energy * rows).sum((1, 2)), (energy * columns).sum((1, 2))], 1)
    frequency = _peaks(patches, starts)
    place = centre.unsqueeze(1).repeat(1, starts, 1).requires_grad_()
    wave = frequency.clone().requires_grad_()
    shape = torch.full((count, starts, 2), math.log(2.0)).requires_grad_()
    turn = torch.atan2(frequency[..., 0], frequency[..., 1]).requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [place], "lr": 0.1}, {"params": [wave], "lr": 0.01}, {"params": [shape, turn], "lr": 0.05}]
    )
    flat = patches.flatten(1).unsqueeze(1)

    def explained() -> Tensor:
        dy, dx = rows - place[..., 0, None, None], columns - place[..., 1, None, None]
        cos, sin = turn.cos()[..., None, None], turn.sin()[..., None, None]
        width_p, width_q = shape.exp().unbind(-1)
        p, q = dx * cos + dy * sin, dy * cos - dx * sin
        envelope = (-0.5 * ((p / width_p[..., None, None]).square() + (q / width_q[..., None, None]).square())).exp()
        phase = 2 * math.pi * (wave[..., 0, None, None] * dy + wave[..., 1, None, None] * dx)
        even, odd = (envelope * phase.cos()).flatten(2), (envelope * phase.sin()).flatten(2)
        aa, bb, ab = even.square().sum(2) + 1e-6, odd.square().sum(2) + 1e-6, (even * odd).sum(2)
        a, b = (even * flat).sum(2), (odd * flat).sum(2)
        # the projection onto the plane of the even and the odd wave: amplitude and phase in closed form
        return (
            (a.square() * bb - 2 * a * b * ab + b.square() * aa)
            / (aa * bb - ab.square()).clamp_min(1e-9)
            / flat.square().sum(2)
        )

    with torch.enable_grad():
        for _ in range(steps):
            optimizer.zero_grad()
            (-explained().sum()).backward()
            optimizer.step()
    return explained().detach().amax(1).clamp_max(1)


def _grid(patches: Tensor) -> Float[Tensor, "2 H W"]:
    height, width = patches.shape[1:]
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).to(patches)


def _peaks(patches: Tensor, count: int, size: int = 64) -> Float[Tensor, "N count 2"]:
    """The strongest spatial frequencies (row, column), in cycles per pixel; further ones are spaced by a few bins."""
    power = torch.fft.rfft2(patches, s=(size, size)).abs()
    power[:, 0, 0] = 0
    columns = power.shape[2]
    chosen = power.flatten(1).topk(24 * (count - 1) + 1, dim=1).indices[:, ::24]
    frequencies = torch.fft.fftfreq(size)
    return torch.stack([frequencies[chosen // columns], frequencies[chosen % columns].abs()], -1).to(patches)
