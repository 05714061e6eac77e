"""Grey photographs to learn features from, split by photograph: from a data set, a folder, or made of noise.

Source of contrast normalisation: Jarrett, Kavukcuoglu, Ranzato & LeCun, What Is the Best Multi-Stage Architecture for Object
Recognition?, ICCV 2009, section 2 (N).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d

from ..errors import DataError, UsageError
from .files import read_images
from .patches import whiten_images
from .registry import dataset, datasets, load


class Photographs(NamedTuple):
    """What `grey_photographs` gives: images ``(H, W)`` that may differ in size.

    Attributes:
        train: To learn from.
        validation: To tune on, a sixth of them.
        test: To judge by, another sixth.
        sources: What was read, as a result records it.
    """

    train: list[Tensor]
    validation: list[Tensor]
    test: list[Tensor]
    sources: dict[str, dict[str, Any]]


def grey_photographs(source: str) -> Photographs:
    """Photographs, the last two sixths of them kept apart.

    Args:
        source: A data set of images (``bsds500``, ``natural_images``), ``noise`` (six smooth random pictures of 64 pixels a side), or
            a folder of images.

    Raises:
        UsageError: There is no such data set or folder.
        DataError: There are fewer than three images.
    """
    pictures, record = _pictures(source)
    held = max(len(pictures) // 6, 1)
    if len(pictures) <= 2 * held:
        raise DataError(
            f"{source}: wanted at least 3 images, to learn from, tune on and judge by; got {len(pictures)}."
        )
    parts = pictures[: -2 * held], pictures[-2 * held : -held], pictures[-held:]
    return Photographs(*parts, {Path(source).name: {"split": "the last sixth of the images", **record}})


def _pictures(source: str) -> tuple[list[Tensor], dict[str, Any]]:
    if source == "noise":
        noisy = torch.randn(6, 64, 64, generator=torch.Generator().manual_seed(0)).cumsum(1).cumsum(2)
        return list(noisy), {"split": "generated", "samples": 6, "sha256": {}}
    if source in datasets():
        pictures = [picture.mean(0) if picture.ndim == 3 else picture for picture in load(source)["x"]]
        return pictures, {"samples": len(pictures), "sha256": dataset(source).checksums()}
    if not Path(source).is_dir():
        raise UsageError(f"grey_photographs: wanted a data set of images, noise or a folder, got {source!r}.")
    files = sorted(path for path in Path(source).rglob("*") if path.is_file())
    return [read_images([path])["x"][0] for path in files], {"samples": len(files), "sha256": {}}


def whitened(picture: Float[Tensor, "H W"], cutoff: float = 0.45) -> Float[Tensor, "h w"]:
    """Of variance 1 at all spatial frequencies alike, so that dark pictures count as much as bright ones; four pixels less at
    each edge, where the filter wraps around.

    Args:
        picture: At least 9 pixels a side.
        cutoff: Where the filter ends, in cycles per pixel; see `whiten_images`.
    """
    inner = whiten_images([picture], cutoff)[0][4:-4, 4:-4]
    return inner / inner.std().clamp_min(1e-6)


def contrast_normalised(
    images: Float[Tensor, "N C H W"], width: float = 3.0, floor: float = 0.02
) -> Float[Tensor, "N C H W"]:
    """Each pixel less the mean around it, over the standard deviation around it of all channels together.

    Args:
        images: Untouched; the result is new.
        width: σ of the Gaussian window, in pixels; at the edges it is cut off and made of weight 1 again.
        floor: Standard deviations smaller than this, or than the image's mean one, count as that: so flat places stay flat.
    """
    centred = images - _around(images, width)
    spread = _around(centred.square().mean(1, keepdim=True), width).clamp_min(0).sqrt()
    return centred / torch.maximum(spread, spread.mean((1, 2, 3), keepdim=True)).clamp_min(floor)


def _around(images: Tensor, width: float) -> Tensor:
    """The Gaussian mean around each pixel, of those that are there."""
    radius = math.ceil(3 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).to(images) / width).square())

    def smooth(x: Tensor) -> Tensor:
        shape, x = x.shape, x.flatten(0, 1).unsqueeze(1)
        x = conv2d(x, kernel[None, None, :, None], padding=(radius, 0))
        return conv2d(x, kernel[None, None, None, :], padding=(0, radius)).reshape(shape)

    return smooth(images) / smooth(images.new_ones(1, 1, *images.shape[2:]))
