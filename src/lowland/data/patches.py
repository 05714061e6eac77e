"""Patches of images, and whitening: making all directions, or all spatial frequencies, equally strong.

Sources: Olshausen & Field, Vision Research 37 (1997), 3311–3325 (the filter); Bell & Sejnowski, Vision Research 37
(1997), 3327–3338 (ZCA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UsageError


def extract_patches(
    images: Sequence[Tensor] | Tensor, size: int, count: int, generator: torch.Generator | None = None
) -> Float[Tensor, "count *channels size size"]:
    """Square patches from random places; every place in every image is equally likely.

    Args:
        images: ``(H, W)`` or ``(C, H, W)`` each; as a list they may differ in height and width.
        size: Side of a patch, in pixels.
        count: How many.
        generator: Draws the places; the same state gives the same patches.

    Raises:
        UsageError: An image is smaller than a patch.
    """
    room = torch.tensor([[image.shape[-2] - size + 1, image.shape[-1] - size + 1] for image in images])
    if len(room) == 0 or size < 1 or bool((room < 1).any()):
        raise UsageError(f"extract_patches: wanted images of at least {size}×{size} pixels, and one of them at least.")
    places = room.prod(1).cumsum(0)
    drawn = torch.randint(int(places[-1]), (count,), generator=generator)
    which = torch.searchsorted(places, drawn, right=True)
    within = drawn - torch.cat([places.new_zeros(1), places])[which]
    top, left = within // room[which, 1], within % room[which, 1]
    patches = images[0].new_empty(count, *images[0].shape[:-2], size, size)
    side = torch.arange(size)
    for index, image in enumerate(images):  # a step an image, not a patch
        mine = (which == index).nonzero().squeeze(1)
        rows, columns = top[mine, None, None] + side[:, None], left[mine, None, None] + side
        patches[mine] = image[..., rows, columns].movedim(-3, 0)
    return patches


@dataclass(frozen=True)
class Whitening:
    """A linear map after which samples like those it was fitted to have mean 0 and (nearly) the identity as covariance.

        whitening = Whitening.zca(x, epsilon=1e-2);  z = whitening(x);  x ≈ whitening.inverse(z)

    Attributes:
        mean: ``(D,)``, in the units of the data.
        matrix: ``(K, D)``: ``z = matrix (x − mean)``, in standard deviations.
        unmatrix: ``(D, K)``, its pseudo-inverse.
    """

    mean: Float[Tensor, " D"]
    matrix: Float[Tensor, "K D"]
    unmatrix: Float[Tensor, "D K"]

    @classmethod
    def pca(cls, x: Float[Tensor, "N D"], dim: int | None = None, epsilon: float = 0.0) -> Whitening:
        """Coordinates along the principal components, strongest first, each divided by its standard deviation.

        Args:
            x: The samples it is fitted to.
            dim: K, how many components are kept; ``None`` keeps all.
            epsilon: Added to every variance, in the units of the data squared: directions weaker than it stay weak.

        Raises:
            UsageError: `dim` is out of range, or a kept direction has no variance and `epsilon` is 0.
        """
        mean, components, deviations = _principal(x, dim, epsilon)
        return cls(mean, components / deviations[:, None], components.T * deviations)

    @classmethod
    def zca(cls, x: Float[Tensor, "N D"], epsilon: float = 0.0) -> Whitening:
        """The whitening that changes the samples least, so that patches stay patches (K = D); arguments as of `pca`."""
        mean, components, deviations = _principal(x, None, epsilon)
        return cls(mean, components.T / deviations @ components, components.T * deviations @ components)

    def __call__(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        return (x - self.mean) @ self.matrix.T

    def inverse(self, z: Float[Tensor, "*B K"]) -> Float[Tensor, "*B D"]:
        """Back to the units of the data; exact up to the components that were left out."""
        return z @ self.unmatrix.T + self.mean


def whiten_images(images: Sequence[Tensor], cutoff: float = 200 / 512, variance: float = 0.1) -> list[Tensor]:
    """Flatten the 1/f amplitude spectrum of natural images and remove the highest frequencies: R(f) = f exp(−(f/f₀)⁴).

    Args:
        images: ``(H, W)`` each.
        cutoff: f₀, in cycles per pixel (at most ½); the paper's is 200 cycles in a picture of 512 pixels.
        variance: Of all pixels together afterwards; one factor serves all images, so that a flat image stays flat.

    Returns:
        The filtered images, in the same order; the mean of each is 0.
    """
    filtered = []
    for image in images:
        height, width = image.shape
        f = torch.fft.fftfreq(height)[:, None].hypot(torch.fft.rfftfreq(width)).to(image)
        filtered.append(torch.fft.irfft2(torch.fft.rfft2(image) * f * (-((f / cutoff) ** 4)).exp(), s=(height, width)))
    scale = (variance / torch.cat([image.flatten() for image in filtered]).square().mean()).sqrt()
    return [image * scale for image in filtered]


def _principal(x: Tensor, dim: int | None, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """The mean ``(D,)``, the strongest components as rows ``(K, D)`` and their standard deviations ``(K,)``."""
    largest = x.shape[1]
    if dim is not None and not 0 < dim <= largest:
        raise UsageError(f"Whitening: wanted 1 ≤ dim ≤ {largest}, the length of a sample; got {dim}.")
    mean = x.mean(0)
    centred = (x - mean).double()
    variances, vectors = torch.linalg.eigh(centred.T @ centred / max(len(x) - 1, 1))
    variances, vectors = variances.flip(0)[:dim], vectors.flip(1)[:, :dim]
    if variances[-1] + epsilon <= variances[0] * largest * torch.finfo(variances.dtype).eps:
        raise UsageError("Whitening: wanted samples that vary in every direction; give epsilon > 0 or a smaller dim.")
    return mean, vectors.T.to(x), (variances.clamp_min(0) + epsilon).sqrt().to(x)
