"""Denoising: spoil a sample, and ask the energy to bring it back.

    of two variables   E(x̃, x)                        the clean sample must be a likely answer to the spoilt one
    of one             ½‖x̃ − η∇E(x̃) − x‖²             one step downhill from the spoilt sample must land on the clean one
    walk-back          the same again from what it mends itself to, spoilt again: E(x̃₁, x) + E(x̃₂, x) + …
    masked             only the entries that were hidden count

Pushes down: the data. Pushes up: what corruption makes of them, and what walking back finds low besides them (strategy C3).
A sample that is spoilt and mended by turns is a Markov chain, whose draws are the model's: `walk_back`.

Sources: Vincent, Larochelle, Bengio & Manzagol, ICML 2008, and JMLR 11 (2010); Bengio, Yao, Alain & Vincent, Generalized Denoising
Auto-Encoders as Generative Models, NIPS 2013, algorithm 1 (walk-back) and theorem 1; Devlin et al., BERT, NAACL 2019, for masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ..energy import Energy
from ..errors import SpaceError, StructureError, VariableError
from ..spaces import Binary
from .corruption import Corruption, GaussianNoise, Mask
from .objective import Loss, Objective


class Denoising(Objective):
    """The energy of the clean sample given the spoilt one, or the distance to it after a step downhill. Units: energy or x².

    An energy of two variables says how well ``clean`` goes with ``spoilt``: `Reconstruction` of an autoencoder with
    ``spoilt="z"``, or a cross entropy. Of an energy of one variable the slope mends: with Gaussian noise and η = σ² this is
    denoising score matching times σ².

    Args:
        corruption: What spoils a sample.
        walk: How many times it is mended and spoilt again; 1 is plain denoising.
        rate: η > 0 for an energy of one variable, in units of x² per unit of energy; σ² for Gaussian noise by default, else 1.
        clean: The variable with the clean sample.
        spoilt: The variable that is told the spoilt one, if there is one.
    """

    no_collapse = "A flat energy, or one that says nothing but the mean, does not bring spoilt samples back."
    tried_on = "restored"

    @classmethod
    def example(cls) -> Denoising:
        return cls(spoilt="z")

    def __init__(
        self,
        corruption: Corruption | None = None,
        walk: int = 1,
        rate: float | None = None,
        clean: str = "y",
        spoilt: str = "x",
    ) -> None:
        corruption = corruption or GaussianNoise()
        if walk < 1 or (rate is not None and not rate > 0):
            raise SpaceError(f"{type(self).__name__}: wanted walk ≥ 1 and rate > 0, got {walk} and {rate}.")
        default = corruption.sigma**2 if isinstance(corruption, GaussianNoise) else 1.0
        self.corruption, self.walk, self.clean, self.spoilt = corruption, walk, clean, spoilt
        self.rate = default if rate is None else rate

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        x = _clean(self, energy, batch, self.clean)
        told = self.spoilt if self.spoilt in energy.spaces and self.spoilt != self.clean else None
        spoilt = self.corruption(x)
        value = self._miss(energy, spoilt, x, told)
        for _ in range(1, self.walk):
            rate = self.rate if told is None else 1.0
            spoilt = self.corruption(mend(energy, spoilt, self.clean, told, rate))
            value = value + self._miss(energy, spoilt, x, told)
        value = value / self.walk
        return Loss(value, {"loss": value.detach()})

    def _miss(self, energy: Energy, spoilt: Tensor, x: Tensor, told: str | None) -> Tensor:
        if told is not None:
            return energy(**{told: spoilt, self.clean: x}).mean()
        with torch.enable_grad():
            _, slope = energy.value_and_gradient(spoilt.detach().requires_grad_())
        return 0.5 * (spoilt - self.rate * slope - x).flatten(1).square().sum(-1).mean()


class MaskedPrediction(Objective):
    """How well the hidden entries are told from those that are left. Units: x², or nats for bits.

    The answer is read off the slope in ``clean``: for ½‖y − r(x)‖² it is y − ∂E/∂y = r(x), for bits the log odds are −∂E/∂y.

    Args:
        mask: What hides entries.
        clean: The variable with the clean sample.
        spoilt: The variable that is told the sample with its entries hidden.
    """

    no_collapse = "Only entries that are not seen count, so saying the input again, or nothing, does not lower it."
    tried_on = "restored"

    @classmethod
    def example(cls) -> MaskedPrediction:
        return cls(spoilt="z")

    def __init__(self, mask: Mask | None = None, clean: str = "y", spoilt: str = "x") -> None:
        self.mask, self.clean, self.spoilt = mask or Mask(), clean, spoilt

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        x = _clean(self, energy, batch, self.clean)
        if self.spoilt not in energy.spaces:
            raise StructureError(
                f"MaskedPrediction: {type(energy).__name__} has no variable {self.spoilt} that is told what is left, only "
                f"{', '.join(energy.spaces)}."
            )
        hidden = self.mask.hidden(x)
        left = torch.where(hidden, self.mask.value, x)
        with torch.enable_grad():
            _, slope = energy.value_and_gradient(x.detach().requires_grad_(), self.clean, **{self.spoilt: left})
        if isinstance(energy.spaces[self.clean], Binary):
            losses = binary_cross_entropy_with_logits(-slope, x, reduction="none")
        else:
            losses = 0.5 * slope.square()
        value = (losses * hidden).sum() / hidden.sum().clamp_min(1)
        return Loss(value, {"loss": value.detach()})


@torch.no_grad()
def mend(
    energy: Energy,
    x: Tensor,
    clean: str = "y",
    spoilt: str | None = "x",
    rate: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What the energy makes of a spoilt sample; bits are drawn from their probabilities.

    Args:
        energy: Of ``clean`` and ``spoilt``, or of ``clean`` alone.
        x: ``(N, *event)``.
        clean: The variable that is answered.
        spoilt: The variable that is told ``x``; ``None`` for an energy of one variable.
        rate: Step downhill, in units of x² per unit of energy; for ½‖y − r(x)‖² a rate of 1 gives r(x) itself.
        generator: Draws the bits.
    """
    _, slope = energy.value_and_gradient(x, clean, **({} if spoilt is None else {spoilt: x}))
    space = energy.spaces[clean]
    if isinstance(space, Binary):
        return (torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) < (-slope).sigmoid()).to(
            x.dtype
        )
    return space.project(x - rate * slope)


@torch.no_grad()
def walk_back(
    energy: Energy,
    corruption: Corruption,
    start: Tensor,
    steps: int,
    clean: str = "y",
    spoilt: str | None = "x",
    rate: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draws of a denoising model: spoil and mend by turns.

    Args:
        energy: Trained by `Denoising`.
        corruption: What it was trained with.
        start: ``(N, *event)``.
        steps: How many turns.
        clean: As for `Denoising`.
        spoilt: As for `Denoising`; ``None`` for an energy of one variable.
        rate: As for `mend`.
        generator: Source of randomness.

    Returns:
        The chains, ``(steps, N, *event)``: what each turn was mended to.
    """
    chain, x = [], start
    for _ in range(steps):
        x = mend(energy, corruption(x, generator), clean, spoilt, rate, generator)
        chain.append(x)
    return torch.stack(chain) if chain else start.new_empty(0, *start.shape)


def _clean(objective: Objective, energy: Energy, batch: Mapping[str, Any], name: str) -> Tensor:
    if name not in energy.spaces:
        raise StructureError(
            f"{type(objective).__name__}: {type(energy).__name__} has no variable {name}, only {', '.join(energy.spaces)}: say clean=…."
        )
    if name not in batch:
        raise VariableError(f"{type(objective).__name__}: the batch has {', '.join(batch)} but not {name}.")
    return energy.spaces[name].check(batch[name], name)
