"""Alternating directions: solve the quadratic as if there were no kink, step over the kink as if there were no quadratic.

    x ← argmin_x S(x) + ρ/2 ‖x − (2z − v)‖²,   S(x) = ½ xᵀGx − bᵀx
    v ← v + α (x − z)
    z ← prox_{R/ρ}(v)

One factor of G + ρI, computed once, serves every step of every sample, so a step costs what a gradient costs and needs
far fewer of them than FISTA where codes are dense.

Source: Boyd, Parikh, Chu, Peleato & Eckstein, Distributed Optimization and Statistical Learning via ADMM (2011), sections
3.4.3 and 6.4; written as Douglas–Rachford splitting (Eckstein & Bertsekas, Math. Programming 55 (1992)).
Needs: a quadratic smooth part, a proximal step. Finds: the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy, QuadraticForm
from ..errors import SpaceError, StructureError
from .lasso import certificate
from .solver import Info, Solver


@dataclass(frozen=True)
class Factor:
    """What all samples share.

    Attributes:
        inverse: ρ (G + ρI)⁻¹, ``(K, K)``, or one for each sample.
        penalty: ρ.
        curvature: The largest eigenvalue of G + ρI, to a few percent.
    """

    inverse: Tensor
    penalty: float
    curvature: float


class ADMMState(NamedTuple):
    z: Tensor  # (*B, *event)
    v: Tensor  # (*B, *event), before its proximal step
    anchor: Tensor  # (*B, K), (G + ρI)⁻¹ b
    factor: Factor


@dataclass(frozen=True)
class ADMM(Solver):
    """Over-relaxed alternating directions with one factor of G + ρI.

    Attributes:
        penalty: ρ > 0, in units of energy per unit of z²: where the quadratic's curvature is, on the entries that a
            solution uses. ``None`` takes 0.6 of the mean of G's diagonal.
        relaxation: α in (0, 2).
    """

    penalty: float | None = None
    relaxation: float = 1.8

    tried_on: ClassVar[str] = "kink"
    look_every: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.penalty is not None and not self.penalty > 0:
            raise SpaceError(f"ADMM: wanted a penalty > 0, got {self.penalty}.")
        if not 0 < self.relaxation < 2:
            raise SpaceError(f"ADMM: wanted a relaxation between 0 and 2, got {self.relaxation}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> ADMMState:
        form = _quadratic(energy.composite()[0])
        penalty = self.penalty or 0.6 * float(form.gram.diagonal(dim1=-2, dim2=-1).mean().clamp_min(1e-30))
        raised = form.gram + penalty * torch.eye(form.gram.shape[-1], dtype=value.dtype, device=value.device)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(raised))
        batch = energy.space.batch_shape(value)
        anchor = _times(form.linear.expand(*batch, -1), inverse)
        return ADMMState(value, value, anchor, Factor(penalty * inverse, penalty, _largest(raised.detach())))

    def step(self, energy: Energy, state: ADMMState) -> tuple[ADMMState, Info]:
        smooth, kink = energy.composite()
        z, v, anchor, factor = state
        reflected = torch.lerp(v, z, 2.0).reshape(anchor.shape)
        x = _times(reflected, factor.inverse, anchor)
        form = _quadratic(smooth)
        # S(x) + R(z), the energy where the two have met: Gx = b + ρ (2z − v − x), so it costs no product with G
        energies = 0.5 * (((reflected - x) * factor.penalty - form.linear) * x).sum(-1) + form.constant
        apart = x.reshape(z.shape) - z
        v = torch.add(v, apart, alpha=self.relaxation)
        moved = v
        if kink is not None:
            energies, moved = energies + kink.value(z), kink.prox(v, 1 / factor.penalty)
        # the slope of S at z is off by (G + ρI)(z − x) from what the kink answers with
        residual = factor.curvature * energy.space.norm(apart)
        return ADMMState(energy.space.project(moved), v, anchor, factor), Info(energies, residual)

    def certificate(self, energy: Energy, value: Tensor) -> dict[str, Tensor]:
        try:
            return certificate(energy, value)
        except StructureError:
            return {}


def _quadratic(smooth: Energy) -> QuadraticForm:
    form = smooth.quadratic_form()
    if form is None:
        raise StructureError(f"ADMM: the smooth part ({type(smooth).__name__}) is not a quadratic: use FISTA.")
    return form


def _times(rows: Tensor, matrix: Tensor, plus: Tensor | None = None) -> Tensor:
    """``plus + rows matrix`` for a symmetric matrix: one for all rows, or one for each."""
    if matrix.ndim > 2:
        product = (matrix @ rows.unsqueeze(-1)).squeeze(-1)
        return product if plus is None else plus + product
    if plus is None or rows.ndim != 2:
        return rows @ matrix if plus is None else plus + rows @ matrix
    return torch.addmm(plus, rows, matrix)


def _largest(matrix: Tensor, steps: int = 16) -> float:
    """The largest eigenvalue of a symmetric positive matrix by power iteration, from below, to a few percent."""
    start = torch.Generator(matrix.device).manual_seed(0)
    vector = torch.randn(*matrix.shape[:-1], 1, generator=start, device=matrix.device, dtype=matrix.dtype)
    for _ in range(steps):
        vector = matrix @ (vector / torch.linalg.vector_norm(vector, dim=-2, keepdim=True))
    return float(torch.linalg.vector_norm(vector, dim=-2).max())
