"""Score matching: make the slope vanish and the curvature large at the data; no partition function, no chain.

    exact       ½‖∇E(x)‖² − ΔE(x)                                     Δ: the trace of the Hessian
    sliced      ½‖∇E(x)‖² − vᵀ∇²E(x)v                                 v: random signs, the same in the mean
    denoising   ½‖σ∇E(x̃) − ε‖²,   x̃ = x + σε,   ε ~ N(0, 1)           the slope points away from the clean point

Each is, up to a constant, half the mean squared difference between −∇E and the slope of the data's log density (in the last
one that of the data blurred by σ). Pushes down: the data, by asking for a valley there. Pushes up: their surroundings.

Sources: Hyvärinen, JMLR 6 (2005), theorem 1; Song, Garg, Shi & Ermon, Sliced Score Matching, UAI 2019, with their variance
reduction; Vincent, A Connection Between Score Matching and Denoising Autoencoders, Neural Computation 23 (2011), eq. 4.3;
for several noise levels, Song & Ermon, NeurIPS 2019, eqs. 5–6 with λ(σ) = σ².
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from .objective import Loss, Objective, alone


class _Curved(Objective):
    """½‖∇E‖² minus a measure of curvature. Units: energy² per unit of x², as those of its second term are.

    Args:
        name: The continuous variable.
    """

    tried_on = "real"

    def __init__(self, name: str = "x") -> None:
        self.name = name

    @abstractmethod
    def curvature(self, slope: Tensor, x: Tensor) -> Tensor:
        """The trace of the Hessian, or a guess at it: from the slope, which has a graph to ``x``, ``(N, *event) → (N,)``."""

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energy, data = alone(energy, batch, self.name)
        _continuous(energy, self)
        with torch.enable_grad():
            x = data.detach().requires_grad_()
            energies, slope = energy.value_and_gradient(x)
            curvature = self.curvature(slope, x)
        steep = 0.5 * slope.flatten(1).square().sum(-1).mean()
        value = steep - curvature.mean()
        parts = {"energy": energies.mean(), "slope": steep, "curvature": curvature.mean()}
        return Loss(value, {name: part.detach() for name, part in parts.items()})


class ScoreMatching(_Curved):
    """½‖∇E‖² − ΔE, exactly: as many passes backward as x has entries.

    Args:
        name: The continuous variable.
    """

    no_collapse = "Curvature at the data is rewarded: a flat energy costs 0, one with the data in valleys less."

    def curvature(self, slope: Tensor, x: Tensor) -> Tensor:
        length = slope[0].numel()
        axes = torch.eye(length, dtype=x.dtype, device=x.device).reshape(length, 1, *x.shape[1:]).expand(-1, *x.shape)
        rows = _slopes_of(slope, x, axes)
        return rows.reshape(length, len(x), length).diagonal(dim1=0, dim2=2).sum(-1)


class SlicedScoreMatching(_Curved):
    """½‖∇E‖² − vᵀ∇²E v for random signs v: one pass backward for each draw, whatever the length of x.

    Args:
        draws: Directions for each sample, at least 1.
        name: The continuous variable.
    """

    no_collapse = (
        "Curvature at the data is rewarded, along random directions: a flat energy costs 0, valleys cost less."
    )

    def __init__(self, draws: int = 1, name: str = "x") -> None:
        super().__init__(name)
        if draws < 1:
            raise SpaceError(f"SlicedScoreMatching: wanted draws ≥ 1, got {draws}.")
        self.draws = draws

    def curvature(self, slope: Tensor, x: Tensor) -> Tensor:
        v = 2 * torch.randint(2, (self.draws, *x.shape), device=x.device).to(x.dtype) - 1
        return (v * _slopes_of(slope, x, v)).flatten(2).sum(-1).mean(0)


class DenoisingScoreMatching(Objective):
    """½‖σ∇E(x + σε) − ε‖²: the slope at a noisy point is the noise that was added. No unit.

    Args:
        sigma: Standard deviation > 0 of the noise, in units of x; or several, of which each sample gets one at random.
        name: The continuous variable.
        level: The variable of a noise-conditional energy that is told σ, ``Real()``; others don't need to have it.
    """

    no_collapse = "A flat energy can't tell the noise that was added: it costs half the dimension of x."
    tried_on = "real"

    @classmethod
    def example(cls) -> DenoisingScoreMatching:
        return cls(0.3)

    def __init__(self, sigma: float | Sequence[float], name: str = "x", level: str = "sigma") -> None:
        self.sigmas = (sigma,) if isinstance(sigma, int | float) else tuple(sigma)
        if not self.sigmas or min(self.sigmas) <= 0:
            raise SpaceError(f"DenoisingScoreMatching: wanted noise levels sigma > 0, got {sigma}.")
        self.name, self.level = name, level

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        told = self.level in energy.spaces
        if len(self.sigmas) > 1 and not told:
            raise StructureError(
                f"DenoisingScoreMatching: {len(self.sigmas)} noise levels need an energy that is told which: {type(energy).__name__} "
                f"has no variable {self.level}."
            )
        if told:
            some = next((batch[name] for name in energy.spaces if name in batch), torch.empty(0))
            levels = torch.tensor(self.sigmas, dtype=some.dtype, device=some.device)
            batch = {**batch, self.level: levels[torch.randint(len(levels), (len(some),), device=some.device)]}
        energy, x = alone(energy, batch, self.name)
        _continuous(energy, self)
        sigma = batch[self.level].reshape(-1, *[1] * (x.ndim - 1)) if told else min(self.sigmas)
        noise = torch.randn_like(x)
        with torch.enable_grad():
            energies, slope = energy.value_and_gradient((x + sigma * noise).requires_grad_())
        value = 0.5 * (sigma * slope - noise).flatten(1).square().sum(-1).mean()
        return Loss(value, {"loss": value.detach(), "energy": energies.mean().detach()})


def _slopes_of(slope: Tensor, x: Tensor, ways: Tensor) -> Tensor:
    """∇(way · slope) for several ways at once: ``(K, N, *event) → (K, N, *event)``."""
    if not slope.requires_grad:
        return torch.zeros_like(ways)
    return torch.autograd.grad(
        slope, x, ways, create_graph=True, is_grads_batched=True, allow_unused=True, materialize_grads=True
    )[0]


def _continuous(energy: Energy, objective: Objective) -> None:
    if energy.space.finite or energy.space.kind != "float":
        raise StructureError(
            f"{type(objective).__name__}: wanted a continuous variable, got {energy.variable} in {energy.space!r}: "
            "for bits there are PseudoLikelihood, RatioMatching and MinimumProbabilityFlow."
        )
