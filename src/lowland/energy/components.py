"""Energies that look along directions: what is off a subspace, and what is unlikely along each of its axes.

    principal      E(y, z) = ½ ‖y − m − W z‖²,   z ∈ ℝᴷ, K < D       minimised over z: the squared distance to a subspace
    independent    E(y) = Σᵢ ½ sᵢ² + κᵢ log cosh sᵢ,   s = W (y − m)    as many sources s as there are observations

Sources: Baldi & Hornik, Neural Networks 2 (1989); Lee, Girolami & Sejnowski, Neural Computation 11 (1999), eqs. 17–22: κ = +1
for a source that is more peaked than a Gaussian, −1 for one that is flatter, whose density is then ∝ cosh(s) exp(−s²/2).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy
from .quadratic import Quadratic


class PrincipalComponents(Energy):
    """½‖y − mean − Wz‖²; minimised over z, half the squared distance of y to the plane that W spans. Units: y squared.

    Args:
        y: Space of the observation, D numbers.
        count: K, how many directions. With K = D every observation is reached and the landscape is flat.

    Attributes:
        W: ``(D, K)``, orthonormal columns.
        mean: ``(D,)``, zero.

    Raises:
        SpaceError: If there are more directions than dimensions.
    """

    def __init__(self, y: Space, count: int) -> None:
        dim = y.shape.numel()
        if not 1 <= count <= dim:
            raise SpaceError(f"PrincipalComponents: wanted 1 to {dim} directions, got {count}.")
        super().__init__(y=y, z=Real(count))
        self.W = nn.Parameter(torch.linalg.qr(torch.randn(dim, count))[0])
        self.mean = nn.Parameter(torch.zeros(dim))

    @classmethod
    def example(cls) -> PrincipalComponents:
        """A small one, for the conformance checks."""
        return cls(Real(4), 2)

    def energies(self, y: Tensor, z: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        return 0.5 * (y.flatten(1) - self.mean - z @ self.W.T).square().sum(-1)

    def given(self, **observed: Any) -> Energy:
        """With y known this is a quadratic in z."""
        y = observed.get("y")
        if observed.keys() != {"y"} or not isinstance(y, Tensor):
            return super().given(**observed)
        batch = self.spaces["y"].batch_shape(y, "y")
        centred = y.reshape(*batch, -1) - self.mean
        quadratic = Quadratic(self.W.T @ self.W, "z", self.spaces["z"])
        return quadratic.given(linear=centred @ self.W, constant=0.5 * centred.square().sum(-1))

    def project(self, y: Tensor) -> Float[Tensor, "N K"]:
        """The z at which the energy is lowest, for orthonormal W: Wᵀ(y − mean)."""
        return (y.flatten(1) - self.mean) @ self.W


class IndependentComponents(Energy):
    """−log p(y) in nats, up to a constant: each source sᵢ = Wᵢ(y − mean) is unlikely on its own.

    Args:
        y: Space of the observation, D numbers: as many sources.

    Attributes:
        W: ``(D, D)``, the unmixing matrix; the identity at first.
        mean: ``(D,)``, zero.
        peaked: κ, ``(D,)``: +1 for a source more peaked than a Gaussian, −1 for a flatter one. A buffer: it is a choice.
    """

    peaked: Tensor

    def __init__(self, y: Space) -> None:
        super().__init__(y=y)
        dim = y.shape.numel()
        self.W = nn.Parameter(torch.eye(dim))
        self.mean = nn.Parameter(torch.zeros(dim))
        self.register_buffer("peaked", torch.ones(dim))

    @classmethod
    def example(cls) -> IndependentComponents:
        """A small one, for the conformance checks."""
        return cls(Real(3))

    def sources(self, y: Tensor) -> Float[Tensor, "N D"]:
        """What was mixed, each of variance 1 if W is what ICA finds; their order and signs are not determined."""
        return (y.flatten(1) - self.mean) @ self.W.T

    def energies(self, y: Tensor) -> Float[Tensor, " B"]:
        s = self.sources(y)
        return (0.5 * s.square() + self.peaked * log_cosh(s)).sum(-1) - self.W.det().abs().log()


def log_cosh(s: Tensor) -> Tensor:
    """log cosh s, without overflow."""
    return s.abs() + nn.functional.softplus(-2 * s.abs()) - math.log(2)
