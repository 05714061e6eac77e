"""Noise-contrastive estimation: tell the data from noise whose density is known; what tells them apart is the energy.

    G(u) = −E(u) − log p_noise(u)            how much likelier under the model than under the noise
    L    = mean_data log(1 + ν e^{−G}) + ν mean_noise log(1 + e^{G} / ν)

Pushes down: the data. Pushes up: draws of the noise, ν for each sample. Nothing makes exp(−E) integrate to one but the loss
itself, so the energy must be free to shift: ``energy + Constant()`` learns log Z along with everything else.

Source: Gutmann & Hyvärinen, AISTATS 2010, eqs. 2–5; ν ≠ 1 as in JMLR 13 (2012), eq. 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..energy import Energy
from ..errors import SpaceError
from .objective import Loss, Objective, alone

if TYPE_CHECKING:
    from torch.distributions import Distribution


class NoiseContrastive(Objective):
    """Logistic loss of data against noise, in nats.

    The closer the noise to the data, the better the estimate: a Gaussian with the data's mean and covariance, or bits drawn
    independently with the data's frequencies, are good beginnings. Draws come from torch's own stream of random numbers.

    Args:
        noise: A distribution with ``sample`` and ``log_prob``, over events of the variable's shape.
        ratio: ν ≥ 1, draws of noise for each sample.
        name: The variable that is compared with noise; others are given.
    """

    no_collapse = "A flat energy can't tell data from noise; only −log p(data) can do it best."
    tried_on = "real"

    @classmethod
    def example(cls) -> NoiseContrastive:
        from torch.distributions import Independent, Normal

        return cls(Independent(Normal(torch.zeros(4), 2 * torch.ones(4)), 1), ratio=3)

    def __init__(self, noise: Distribution, ratio: int = 1, name: str = "x") -> None:
        if ratio < 1:
            raise SpaceError(f"NoiseContrastive: wanted at least 1 draw of noise for each sample, got ratio={ratio}.")
        self.noise, self.ratio, self.name = noise, ratio, name

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energy, x = alone(energy, batch, self.name)
        if self.noise.batch_shape or self.noise.event_shape != energy.space.shape:
            raise SpaceError(
                f"NoiseContrastive: wanted one distribution over events of shape {tuple(energy.space.shape)}, as {self.name}, got "
                f"{self.noise}; torch.distributions.Independent makes events of batches."
            )
        noise = self.noise.sample(torch.Size((self.ratio, len(x)))).to(x)
        offset = math.log(self.ratio)
        data = -energy.value(x) - self._log_density(x) - offset
        drawn = -energy.value(noise) - self._log_density(noise) - offset
        value = softplus(-data).mean() + self.ratio * softplus(drawn).mean()
        with torch.no_grad():
            right = ((data > 0).to(value.dtype).mean() + self.ratio * (drawn < 0).to(value.dtype).mean()) / (
                1 + self.ratio
            )
        return Loss(value, {"loss": value.detach(), "told_apart": right})

    def _log_density(self, u: Tensor) -> Tensor:
        """log p_noise, refused where it is −∞: there the data could never be told from anything."""
        inside: Any = getattr(self.noise, "support", None)
        if inside is not None:
            within = inside.check(u)
            if not bool(within.all()):
                self._refuse(within)
        density = self.noise.log_prob(u)
        finite = density.isfinite()
        if not bool(finite.all()):
            self._refuse(finite)
        return density

    def _refuse(self, within: Tensor) -> None:
        wrong = (~within).nonzero()
        raise SpaceError(
            f"NoiseContrastive: the noise, {self.noise}, has density 0 at {len(wrong)} of {within.numel()} samples of {self.name}, "
            f"the first at index {int(wrong[0, -1])}: noise must be possible wherever there are data; use a wider one."
        )
