"""Expectation-maximisation: lower the free energy of a Gaussian mixture in closed form, a whole step at a time.

    E: r_nk = p(z = k | x_n)           the gradient of the free energy, the mixture held fixed
    M: m_k, Σ_k, w_k = mean, covariance and share of the samples, weighted by r

Pushes down the free energy at the data. Nothing has to push up: a mixture integrates to one whatever its parameters are. What
could still go wrong is a component that shrinks onto a single sample, which ``floor`` and ``shrinkage`` prevent.

Sources: Dempster, Laird & Rubin, JRSS B 39 (1977); Bishop (2006), section 9.2.2; for covariances drawn towards a common
one, Friedman, Regularized Discriminant Analysis, JASA 84 (1989), eq. 13.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..energy import GaussianMixture
from ..errors import SpaceError


def expectation_maximization(
    mixture: GaussianMixture,
    x: Tensor,
    responsibility: Float[Tensor, "N C"],
    *,
    weights: Float[Tensor, " N"] | None = None,
    steps: int = 10,
    floor: float = 0.0,
    shrinkage: float = 0.0,
) -> list[float]:
    """Fit a mixture, in place.

    Args:
        mixture: Its C components may be chosen by one variable or by several.
        x: The data, ``(N, *event)``, in the mixture's dtype; double is safest, for covariances of small variance.
        responsibility: Where to begin: the share of each component in each sample, rows that sum to one.
        weights: How often each sample counts; once by default.
        steps: How many times M and E are done.
        floor: Added to every variance, in units of x squared; without shrinkage or floor every step lowers the free energy.
        shrinkage: How many samples the covariance shared by all components counts for in each component's own.

    Returns:
        The mean free energy of the data after each step, in nats.

    Raises:
        SpaceError: If a covariance has no inverse.
    """
    flat = x.flatten(1)
    weights = torch.ones(len(flat), device=flat.device, dtype=flat.dtype) if weights is None else weights
    history = []
    for _ in range(steps):
        _maximize(mixture, flat, responsibility * weights.unsqueeze(-1), floor, shrinkage)
        with torch.no_grad():
            costs = mixture.costs(x).reshape(responsibility.shape)
        responsibility = (-costs).softmax(-1)
        free_energy = -costs.neg().logsumexp(-1)
        history.append(((free_energy * weights).sum() / weights.sum()).item())
    return history


@torch.no_grad()
def _maximize(mixture: GaussianMixture, x: Tensor, share: Tensor, floor: float, shrinkage: float) -> None:
    count = share.sum(0).clamp_min(torch.finfo(x.dtype).tiny)
    means = share.T @ x / count.unsqueeze(-1)
    centred = (x - means.unsqueeze(1)) * share.T.sqrt().unsqueeze(-1)
    scatter = centred.mT @ centred
    common = scatter.sum(0) / count.sum()
    covariance = (scatter + shrinkage * common) / (count + shrinkage)[:, None, None]
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    factor, failed = torch.linalg.cholesky_ex(covariance + floor * identity)
    if bool(failed.any()):
        raise SpaceError(
            f"expectation_maximization: {int((failed > 0).sum())} of {len(count)} covariances have no inverse: "
            "there are too few samples for so many components; give a floor > 0."
        )
    whitening = torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False)
    mixture.means.copy_(means.reshape(mixture.means.shape))
    mixture.whitening.copy_(whitening.reshape(mixture.whitening.shape))
    mixture.log_weights.copy_((count / count.sum()).log().reshape(mixture.log_weights.shape))
