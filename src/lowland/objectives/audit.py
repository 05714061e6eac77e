"""Is the landscape sound? Energies of the data, near them, far from them, and of constants.

A flat, collapsed or exploding energy is the classic failure of training; a look at these few numbers tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from ..spaces import Binary, Box, Categorical
from .auroc import auroc
from .objective import alone


@dataclass(frozen=True)
class Audit:
    """What `audit` found. Energies are means, in the energy's own units.

    Attributes:
        data: Energy of the data.
        lowest: Energy of the lowest sample.
        perturbed: Of the data, disturbed a little.
        far: Of points drawn uniformly from the region around the data.
        constants: Of events whose entries are all the same: the lowest of them.
        gap: far − data.
        flatness: The share of the region that exp(−E) counts, (Σ w)² / (N Σ w²) with w = exp(−E): 1 if the energy is flat.
        volume: The share of the region that lies as low as 95 % of the data.
        auroc_perturbed: Probability that a sample lies below a disturbed one; ½ for a flat energy.
        auroc_far: The same for far points.
        finite: Whether every energy was finite.
    """

    data: float
    lowest: float
    perturbed: float
    far: float
    constants: float
    gap: float
    flatness: float
    volume: float
    auroc_perturbed: float
    auroc_far: float
    finite: bool

    @property
    def verdict(self) -> str:
        """One sentence: sound, or what is wrong."""
        if not self.finite:
            return "exploding: some energies are not finite."
        if self.flatness > 0.99:
            return "collapsed: exp(−E) counts the whole region alike."
        if self.auroc_far < 0.5:
            return "upside down: most far points lie lower than the data."
        if self.constants < self.lowest - 0.1 * self.gap:
            return "constants lie lower than every sample."
        if self.volume > 0.5:
            return "loose: half of the region lies as low as the data."
        return "sound: the data lie low, and little else does."

    def __repr__(self) -> str:
        return (
            f"Audit: {self.verdict}\n"
            f"  energy      data {self.data:.4g}, perturbed {self.perturbed:.4g}, far {self.far:.4g}, "
            f"lowest constant {self.constants:.4g}\n"
            f"  gap         {self.gap:.4g}\n"
            f"  told apart  from perturbed {self.auroc_perturbed:.1%}, from far {self.auroc_far:.1%} (a flat energy: 50 %)\n"
            f"  low region  {self.volume:.1%} of the volume; flatness {self.flatness:.1%}"
        )


@torch.no_grad()
def audit(
    energy: Energy,
    data: Mapping[str, Tensor],
    name: str = "x",
    *,
    noise: float = 0.5,
    reach: float = 2.0,
    count: int = 1000,
    generator: torch.Generator | None = None,
) -> Audit:
    """Look at an energy at the data and away from them.

    Args:
        energy: The energy.
        data: ``{variable: (N, *event)}``; of a real data set some hundred samples will do.
        name: The variable that is disturbed, drawn and held constant; the others stay with their sample.
        noise: How much "a little" is, in standard deviations of each entry; for bits, a tenth of them flip.
        reach: Size of the region along each entry, in ranges of the data; for a `Box` it is the box, for finite variables everything.
        count: How many far points.
        generator: Source of randomness.

    Raises:
        VariableError: If the data lack a variable of the energy.
        StructureError: If the variable is one that can't be drawn.
    """
    energy, x = alone(energy, data, name)
    if not len(x):
        raise SpaceError("audit: wanted at least one sample.")
    if energy.batch_shape:
        rows = torch.arange(count, device=x.device) % len(x)
        elsewhere = energy.select(rows)
    else:
        elsewhere = energy
    far = uniform(energy, x, count, reach, generator)
    space, here = energy.space, energy.value(x)
    if isinstance(space, Categorical):
        near = (x + torch.randint(1, max(space.k, 2), x.shape, generator=generator, device=x.device)) % space.k
    elif isinstance(space, Binary):
        near = torch.where(_random(x, generator) < 0.1, 1 - x, x)
    else:
        scale = noise * x.std(0) if len(x) > 1 else noise
        near = space.project(x + scale * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype))
    beside, away = energy.value(near), elsewhere.value(far)
    if isinstance(space, Categorical):
        constants = here.mean().reshape(1)
    else:
        levels = torch.linspace(float(x.min()), float(x.max()), 11, device=x.device, dtype=x.dtype)
        levels = space.project(levels.reshape(-1, *[1] * x.ndim).expand(-1, *x.shape))
        constants = energy.value(levels).mean(1)
    every = torch.cat([here, beside, away, constants])
    finite = bool(every.isfinite().all())
    weights = (-(away - away.min())).exp() if finite else away.new_ones(1)
    bound = here.quantile(0.95) if finite else here.new_tensor(torch.nan)
    return Audit(
        data=float(here.mean()),
        lowest=float(here.min()),
        perturbed=float(beside.mean()),
        far=float(away.mean()),
        constants=float(constants.min()),
        gap=float(away.mean() - here.mean()),
        flatness=float(weights.sum().square() / (len(weights) * weights.square().sum())),
        volume=float((away <= bound).to(here.dtype).mean()),
        auroc_perturbed=auroc(here, beside) if finite else float("nan"),
        auroc_far=auroc(here, away) if finite else float("nan"),
        finite=finite,
    )


@torch.no_grad()
def low_volume(
    energy: Energy,
    x: Tensor,
    *,
    share: float = 0.95,
    reach: float = 2.0,
    count: int = 10_000,
    generator: torch.Generator | None = None,
) -> float:
    """The share of the region around the data that lies as low as a share of the data, by uniform draws.

    Args:
        energy: An energy of one variable.
        x: The data, ``(N, *event)``.
        share: Of the data that count as low, in (0, 1].
        reach: Size of the region along each entry, in ranges of the data.
        count: How many draws: the answer is right to about ½/√count.
        generator: Source of randomness.
    """
    bound = energy.value(x).quantile(share)
    return float((energy.value(uniform(energy, x, count, reach, generator)) <= bound).double().mean())


def uniform(
    energy: Energy, x: Tensor, count: int, reach: float = 2.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points spread evenly over the region around the data, or over a finite space or a box: ``(count, *event)``.

    Raises:
        StructureError: If the energy's only variable is opaque.
    """
    space = energy.space
    if isinstance(space, Categorical):
        return torch.randint(space.k, (count,), generator=generator, device=x.device)
    if space.kind != "float":
        raise StructureError(f"audit: {energy.variable} ranges over {space!r}, from which no point can be drawn.")
    drawn = torch.rand(count, *x.shape[1:], generator=generator, device=x.device, dtype=x.dtype)
    if isinstance(space, Binary):
        return (drawn < 0.5).to(x.dtype)
    low, high = x.amin(0), x.amax(0)
    if isinstance(space, Box):
        low, high = torch.full_like(low, space.low), torch.full_like(high, space.high)
        if bool(torch.isfinite(low - high).all()):
            return low + (high - low) * drawn
        low, high = x.amin(0), x.amax(0)
    centre, half = (low + high) / 2, reach * (high - low) / 2
    return space.project(centre + half * (2 * drawn - 1))


def _random(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
