"""Directions in closed form: principal components by eigenvectors, independent ones by Newton steps on the sphere.

    principal      W = the K eigenvectors of the covariance with the largest eigenvalues: the lowest mean of min_z E
    independent    W ← E[g(s) vᵀ] − diag(E[g′(s)]) W, then W ← (W Wᵀ)^{−½} W;   s = W v,  g = tanh,  v the whitened data

Push down the data. What keeps the landscape from going flat: the principal subspace has fewer dimensions than the data, and an
orthonormal W on whitened data can't shrink the sources (strategy A1).

Sources: Baldi & Hornik, Neural Networks 2 (1989); Hyvärinen, IEEE Trans. Neural Networks 10 (1999), eqs. 20–21 (FastICA).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..energy import IndependentComponents, PrincipalComponents
from ..errors import SpaceError


@torch.no_grad()
def principal_components(energy: PrincipalComponents, y: Tensor) -> Tensor:
    """Fit mean and directions, in place: the largest variance first.

    Args:
        energy: Its W gets orthonormal columns.
        y: The data, ``(N, *event)``.

    Returns:
        The variance of the data along each direction of the whole space, largest first, ``(D,)``, in units of y squared.
    """
    mean, variance, axes = _axes(y)
    energy.mean.copy_(mean)
    energy.W.copy_(axes[:, : energy.W.shape[1]])
    return variance


@torch.no_grad()
def independent_components(
    energy: IndependentComponents,
    y: Tensor,
    *,
    steps: int = 200,
    tol: float = 1e-6,
    generator: torch.Generator | None = None,
) -> bool:
    """Fit the unmixing matrix, in place.

    Args:
        energy: Its sources get variance 1; which of them are peaked and which are flat is found, too.
        y: The data, ``(N, *event)``; at most one source may be Gaussian.
        steps: At most so many Newton steps.
        tol: Stop where no direction turns by more: 1 − |cosine|.
        generator: Draws the directions to begin with.

    Returns:
        Whether the directions stopped turning.

    Raises:
        SpaceError: If the data lie in fewer dimensions than they have.
    """
    mean, variance, axes = _axes(y)
    if variance[-1] <= torch.finfo(variance.dtype).eps * variance[0]:
        raise SpaceError(
            "independent_components: the data have no variance along some direction: leave it out first (PCA)."
        )
    whitening = axes / variance.sqrt()
    v = (y.flatten(1) - mean) @ whitening
    drawn = torch.randn(
        len(variance), len(variance), generator=generator, device=None if generator is None else generator.device
    )
    directions, converged = _orthonormal(drawn.to(v)), False
    for _ in range(steps):
        slope = (v @ directions.T).tanh()
        new = _orthonormal(slope.T @ v / len(v) - (1 - slope.square()).mean(0).unsqueeze(-1) * directions)
        converged = bool(((new * directions).sum(-1).abs() >= 1 - tol).all())
        directions = new
        if converged:
            break
    s = v @ directions.T
    energy.mean.copy_(mean)
    energy.W.copy_(directions @ whitening.T)
    energy.peaked.copy_(((1 - s.tanh().square()).mean(0) - (s * s.tanh()).mean(0)).sign())
    return converged


def _axes(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean ``(D,)``, variances largest first ``(D,)``, and the directions they belong to as columns ``(D, D)``."""
    flat = y.flatten(1)
    mean = flat.mean(0)
    centred = flat - mean
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(flat))
    return mean, variance.flip(0), axes.flip(1)


def _orthonormal(matrix: Tensor) -> Tensor:
    """The nearest orthonormal matrix, (M Mᵀ)^{−½} M."""
    left, _, right = torch.linalg.svd(matrix)
    return left @ right
