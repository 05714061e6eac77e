"""Energy loss: push down the data, and trust the architecture for the rest.

    L = mean E(data)

Right where the volume of low energy is bounded by construction (k-means, PCA) or by a regulariser in the energy (sparse
coding); anywhere else everything becomes low and the energy is flat.

Source: LeCun et al., A Tutorial on Energy-Based Learning (2006), section 2.2.1, eq. 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..energy import Energy
from .objective import Loss, Objective, observed


class EnergyLoss(Objective):
    """The mean energy of the data. Pushes down: the data. Pushes up: nothing."""

    no_collapse = "Nothing but the architecture: only for energies whose low region can't grow (strategies A1 and A2)."

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        value = energy(**observed(energy, batch)).mean()
        return Loss(value, {"energy": value.detach()})
