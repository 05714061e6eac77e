"""Adversarial training: the discriminator is an energy, and a generator looks for its low points in place of a chain.

    energy       mean log(1 + e^{E(x)}) + mean log(1 + e^{−E(g(z))}) + ½ w mean ‖∇E(x)‖²
    generator    mean log(1 + e^{E(g(z))})

Pushes down: the data. Pushes up: what the generator makes, which follows the low points as they move. The slope at the data is kept
small, without which the two may circle for ever.

Sources: Goodfellow et al., Generative Adversarial Nets, NIPS 2014, algorithm 1 with its non-saturating loss; Zhao, Mathieu & LeCun,
Energy-Based Generative Adversarial Network, ICLR 2017, for the reading as an energy; Mescheder, Geiger & Nowozin, ICML 2018, eq. 9,
for the slope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..energy import Energy
from ..errors import SpaceError
from .objective import Loss, Objective, alone


class Adversarial(Objective):
    """Logistic loss of the data against what a generator makes; the objective of the energy. In nats.

    It takes two players: the energy with this objective, the generator with `deceive`::

        adversarial = Adversarial(generator, dim=8)
        Player("energy", energy, lambda batch: adversarial(energy, batch), …)
        Player("generator", generator, lambda batch: adversarial.deceive(energy, batch), …)

    Args:
        generator: ``generator(z (N, dim)) → (N, *event)``.
        dim: Length of the noise that it is given.
        weight: w ≥ 0 of the squared slope at the data, in units of x² per nat.
        name: The variable that is generated; others are given.
    """

    no_collapse = "A flat energy can't tell data from what is made: it costs 2 log 2, and the generator moves on to whatever else is low."
    tried_on = "real"

    @classmethod
    def example(cls) -> Adversarial:
        return cls(lambda z: 2 * z, dim=4)

    def __init__(
        self, generator: nn.Module | Callable[[Tensor], Tensor], dim: int, weight: float = 1.0, name: str = "x"
    ) -> None:
        if dim < 1 or weight < 0:
            raise SpaceError(f"Adversarial: wanted dim ≥ 1 and weight ≥ 0, got {dim} and {weight}.")
        self.generator, self.dim, self.weight, self.name = generator, dim, weight, name

    def generate(self, like: Tensor) -> Tensor:
        """As many as ``like (N, *event)``, on its device."""
        made = self.generator(torch.randn(len(like), self.dim, dtype=like.dtype, device=like.device))
        if made.shape != like.shape:
            raise SpaceError(f"Adversarial: wanted the generator to make {tuple(like.shape)}, got {tuple(made.shape)}.")
        return made

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        energy, data = alone(energy, batch, self.name)
        with torch.no_grad():
            made = self.generate(data)
        if self.weight:
            with torch.enable_grad():
                energies, slope = energy.value_and_gradient(data.detach().requires_grad_())
            steep = slope.flatten(1).square().sum(-1).mean()
        else:
            energies, steep = energy.value(data), data.new_zeros(())
        others = energy.value(made)
        value = softplus(energies).mean() + softplus(-others).mean() + 0.5 * self.weight * steep
        parts = {"energy": energies.mean(), "energy_made": others.mean(), "slope": steep}
        return Loss(value, {name: part.detach() for name, part in parts.items()})

    def deceive(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        """The generator's own loss: what it makes should lie low.

        Raises:
            VariableError: If the batch lacks a variable of the energy.
        """
        energy, data = alone(energy, batch, self.name)
        value = softplus(energy.value(self.generate(data))).mean()
        return Loss(value, {"deceived": value.detach()})
