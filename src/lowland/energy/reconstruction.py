"""How far is y from what a decoder makes of z?

    E(y, z) = ½ ‖y − W z‖²            linear
    E(y, z) = ½ ‖y − W ∗ z‖²          convolutional
    E(y, z) = ½ ‖y − g(z)‖²           any decoder

Sources: Olshausen & Field, Nature 381 (1996), eq. 2, without the sparsity term; Kavukcuoglu et al., Learning
Convolutional Feature Hierarchies, NIPS 2010, eq. 2.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy
from .quadratic import Quadratic


class LinearReconstruction(Energy):
    """½‖y − Wz‖² ≥ 0, and 0 exactly when y = Wz. Units: those of y, squared.

    Args:
        dim: D, the length of one observation.
        atoms: K, the number of columns of W.
        code: Space of ``z``; ``Real(atoms)`` by default.

    Attributes:
        W: ``(D, K)``, drawn from N(0, 1/D) so that the mean of ‖Wz‖² is ‖z‖².
    """

    broadcasts = True

    @classmethod
    def example(cls) -> LinearReconstruction:
        return cls(5, 3)

    def __init__(self, dim: int, atoms: int, code: Space | None = None) -> None:
        super().__init__(y=Real(dim), z=code or Real(atoms))
        self.W = nn.Parameter(torch.randn(dim, atoms) / dim**0.5)

    def energies(self, y: Float[Tensor, "*B D"], z: Float[Tensor, "*B2 K"]) -> Float[Tensor, "*B3"]:
        return 0.5 * (y - z @ self.W.T).square().sum(-1)

    def given(self, **observed: Any) -> Energy:
        """With y known this is a quadratic in z: the Gram matrix WᵀW and Wᵀy are computed once."""
        if observed.keys() == {"y"} and isinstance(observed["y"], Tensor):
            y = observed["y"]
            self.spaces["y"].batch_shape(y, "y")
            quadratic = Quadratic(self.W.T @ self.W, "z", self.spaces["z"])
            return quadratic.given(linear=y @ self.W, constant=0.5 * y.square().sum(-1))
        return super().given(**observed)

    @torch.no_grad()
    def normalize(self) -> None:
        """Scale each atom to length 1: what keeps codes from shrinking while W grows."""
        self.W /= self.W.norm(dim=0).clamp_min(torch.finfo(self.W.dtype).tiny)


class ConvolutionalReconstruction(Energy):
    """½‖y − Σ_k W_k ∗ z_k‖²: an image as a sum of feature maps, each convolved with its filter.

    Args:
        channels: C, of the image.
        maps: K, how many feature maps.
        height: H, of the image, in pixels.
        width: of the image, in pixels.
        kernel: Side of the square filters, in pixels; feature maps are H + kernel − 1 high, so that every pixel is
            covered by the same number of map positions and the image is the "valid" part.

    Attributes:
        W: ``(K, C, kernel, kernel)``, unit length each.
    """

    @classmethod
    def example(cls) -> ConvolutionalReconstruction:
        return cls(channels=1, maps=2, height=4, width=5, kernel=3)

    def __init__(self, channels: int, maps: int, height: int, width: int, kernel: int) -> None:
        if kernel < 1:
            raise SpaceError(f"ConvolutionalReconstruction: wanted a kernel of at least 1 pixel, got {kernel}.")
        super().__init__(y=Real(channels, height, width), z=Real(maps, height + kernel - 1, width + kernel - 1))
        self.W = nn.Parameter(torch.randn(maps, channels, kernel, kernel))
        self.normalize()

    def decode(self, z: Float[Tensor, "B K h w"]) -> Float[Tensor, "B C H W"]:
        """The image that the feature maps add up to."""
        return F.conv2d(z, self.W.transpose(0, 1))

    def energies(self, y: Float[Tensor, "B C H W"], z: Float[Tensor, "B K h w"]) -> Float[Tensor, " B"]:
        return 0.5 * (y - self.decode(z)).square().flatten(1).sum(-1)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        """The slope in z is what is left of the image, convolved with each filter turned round."""
        if name != "z" or value.ndim != 4 or rest["y"].shape[:-3] != value.shape[:1]:
            return super().value_and_gradient(value, name, **rest)
        left = self.decode(value) - rest["y"]
        margin = self.W.shape[-1] - 1
        slope = F.conv2d(F.pad(left, [margin] * 4), self.W.flip(2, 3))
        return 0.5 * left.square().flatten(1).sum(-1), slope

    @torch.no_grad()
    def curvature(self, grid: int = 32) -> float:
        """The largest curvature in z, of images without end: over a grid of spatial frequencies, the length of the longest
        response of all filters together.

        Args:
            grid: Frequencies along each side.
        """
        spectrum = torch.fft.rfft2(self.W, s=(grid, grid)).permute(2, 3, 1, 0)  # (f, g, C, K)
        return float(torch.linalg.eigvalsh(spectrum @ spectrum.mH).max())

    @torch.no_grad()
    def normalize(self) -> None:
        """Scale each filter to length 1."""
        self.W /= self.W.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(torch.finfo(self.W.dtype).tiny)


class Reconstruction(Energy):
    """½‖y − decoder(z)‖² for any decoder.

    Args:
        decoder: Maps ``(N, *code)`` to ``(N, *observation)``.
        y: Space of the observation.
        z: Space of the code.
    """

    @classmethod
    def example(cls) -> Reconstruction:
        return cls(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)), Real(3), Real(2))

    def __init__(self, decoder: nn.Module, y: Space, z: Space) -> None:
        super().__init__(y=y, z=z)
        self.decoder = decoder

    def energies(self, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * (y - self.decoder(z)).square().flatten(1).sum(-1)
