"""Deskewing images, and distorting them as handwriting varies: affine and elastic, a batch at a time.

Outside an image there is 0 (paper, in the digit sets). Sources: LeCun et al., Proc. IEEE 86 (1998), section III-A and
footnote on deslanting (moments); Simard, Steinkraus & Platt, ICDAR (2003), section 2 (affine and elastic distortions).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, conv1d, grid_sample


def deskew(images: Float[Tensor, "N H W"]) -> Float[Tensor, "N H W"]:
    """Shear each image until its principal axis is upright, and move its centre of mass to the centre.

    The shear is μ₁₁ / μ₀₂ of the ink as mass: the slope of the line that best tells the column of the ink from its row.
    An image without ink, or with ink in one row only, is not sheared.
    """
    height, width = images.shape[1:]
    rows = torch.arange(height).to(images) - (height - 1) / 2
    columns = torch.arange(width).to(images) - (width - 1) / 2
    mass = images.sum((1, 2)).clamp_min(1e-6)
    y = (images.sum(2) @ rows) / mass
    x = (images.sum(1) @ columns) / mass
    dy, dx = rows - y[:, None], columns - x[:, None]
    covariance = torch.einsum("nhw,nh,nw->n", images, dy, dx)
    spread = torch.einsum("nhw,nh->n", images, dy.square())
    slope = torch.where(spread > 1e-6, covariance / spread.clamp_min(1e-6), 0)
    straight = torch.eye(2).to(images).repeat(len(images), 1, 1)
    straight[:, 0, 1] = slope
    return _warp(images, straight, torch.stack([x, y], 1))


def random_affine(
    images: Float[Tensor, "N H W"],
    rotation: float = 10.0,
    scale: float = 0.1,
    shear: float = 0.1,
    shift: float = 1.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "N H W"]:
    """Turn, stretch, slant and move each image by amounts drawn uniformly between minus and plus the bounds.

    Args:
        images: Untouched; the result is new.
        rotation: Bound of the angle, in degrees.
        scale: Bound of the change in size: 0.1 draws factors from 0.9 to 1.1, for height and width apart.
        shear: Bound of the slant, in columns per row.
        shift: Bound of the movement, in pixels, for rows and columns apart.
        generator: Draws the amounts.
    """
    draw = _uniform((len(images), 6), images, generator)
    angle = draw[:, 0] * math.radians(rotation)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).reshape(-1, 2, 2)
    slant = torch.eye(2).to(images).repeat(len(images), 1, 1)
    slant[:, 0, 1] = draw[:, 1] * shear
    size = torch.diag_embed(1 / (1 + draw[:, 2:4] * scale))
    return _warp(images, turn @ slant @ size, draw[:, 4:] * shift)


def random_elastic(
    images: Float[Tensor, "N H W"],
    strength: float = 34.0,
    smoothness: float = 4.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "N H W"]:
    """Move every pixel by a random field that is smooth: as if the paper were rubber.

    Args:
        images: Untouched; the result is new.
        strength: α, the factor of the smoothed field, in pixels (34 in the paper, for 29×29 images).
        smoothness: σ, the width of the Gaussian that smooths the field, in pixels (4 in the paper).
        generator: Draws the field.
    """
    count, height, width = images.shape
    field = _blur(_uniform((count * 2, height, width), images, generator), smoothness).reshape(count, 2, height, width)
    pixel = torch.tensor([2 / width, 2 / height]).to(images)  # the sampler's units: 2 is the whole image
    identity = affine_grid(
        torch.eye(2, 3).to(images).expand(count, 2, 3), [count, 1, height, width], align_corners=False
    )
    return _sample(images, identity + strength * field.permute(0, 2, 3, 1) * pixel)


def _warp(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """The image whose pixel at p (x, y; pixels from the centre) is the old one at ``matrix p + offset``."""
    count, height, width = images.shape
    half = torch.tensor([width / 2, height / 2]).to(images)
    theta = torch.cat([matrix * half / half[:, None], (offset / half)[..., None]], 2)
    return _sample(images, affine_grid(theta, [count, 1, height, width], align_corners=False))


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    return grid_sample(images[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]


def _blur(field: Float[Tensor, "N H W"], width: float) -> Float[Tensor, "N H W"]:
    """Gaussian smoothing along rows, then along columns; outside the field there is 0."""
    radius = math.ceil(3 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(field) / width).square())
    kernel = (kernel / kernel.sum())[None, None]
    for _ in range(2):
        count, rows, columns = field.shape
        field = conv1d(field.reshape(-1, 1, columns), kernel, padding=radius).reshape(count, rows, columns).mT
    return field


def _uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform on [−1, 1), drawn where the generator lives."""
    device = like.device if generator is None else generator.device
    return (2 * torch.rand(shape, generator=generator, device=device, dtype=like.dtype) - 1).to(like.device)
