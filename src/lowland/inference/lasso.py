"""What the solvers of sparse codes share: the numbers of a lasso, how far a code is from optimal, and a bound on its energy.

    E(z) = ½ zᵀGz − bᵀz + c + λ‖z‖₁,      G = WᵀW,  b = Wᵀy,  c = ½‖y‖²  for a linear decoder W

Source: Fercoq, Gramfort & Salmon, Mind the Duality Gap: Safer Rules for the Lasso, ICML 2015, eq. 3–7.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..energy import L1, Energy, Scaled
from ..errors import StructureError
from ..spaces import NonNegative, Real


class Lasso(NamedTuple):
    """A quadratic with one Gram matrix for all samples, plus an L1 term.

    Attributes:
        gram: G ``(K, K)``.
        linear: b ``(N, K)``.
        constant: c ``(N,)``.
        weight: λ ≥ 0, in units of energy per unit of z.
        negative: Whether a code may be negative.
    """

    gram: Tensor
    linear: Tensor
    constant: Tensor
    weight: float
    negative: bool

    def clip(self, correlation: Tensor) -> Tensor:
        """The part of a correlation that the L1 term holds back: what is left moves the code."""
        return correlation.clamp(-self.weight if self.negative else -math.inf, self.weight)

    def residual(self, z: Float[Tensor, "N K"], correlation: Float[Tensor, "N K"]) -> Float[Tensor, " N"]:
        """‖z − prox(z + η (b − Gz))‖/η, the gradient mapping with η = 1/max G_kk: 0 exactly at the optimal code.

        Args:
            z: Codes.
            correlation: b − Gz.
        """
        moved = torch.add(correlation, z, alpha=float(self.gram.diagonal().max()))
        return torch.linalg.vector_norm(self.clip(moved).sub_(correlation), dim=1)


def lasso(energy: Energy, batch: torch.Size | None = None) -> Lasso:
    """The numbers of an energy of one variable that is a lasso, flattened to one batch dimension.

    Args:
        energy: With everything known given.
        batch: Batch shape of the codes, where what is given has a smaller one.

    Raises:
        StructureError: Says which part is missing.
    """
    smooth, kink = energy.composite()
    form = smooth.quadratic_form()
    if form is None or form.gram.ndim != 2:
        raise StructureError(
            f"The smooth part ({type(smooth).__name__}) is not a quadratic with one Gram matrix: use FISTA."
        )
    weight = 1.0
    while isinstance(kink, Scaled):
        weight, kink = weight * float(kink.weight), kink.energy
    if not isinstance(kink, L1 | None):
        raise StructureError(
            f"Wanted an L1 term, got {type(kink).__name__}: use ADMM or FISTA, which take any proximal step."
        )
    if type(energy.space) not in (Real, NonNegative):
        raise StructureError(f"Wanted a code in Real or NonNegative, got {energy.space!r}: use ADMM or FISTA.")
    length = len(form.gram)
    batch = batch or form.linear.shape[:-1]
    return Lasso(
        form.gram,
        form.linear.expand(*batch, length).reshape(-1, length),
        form.constant.expand(batch).reshape(-1),
        0.0 if kink is None else weight * kink.weight,
        type(energy.space) is Real,
    )


class Packed(NamedTuple):
    """The few chosen entries of a matrix ``(N, K)``, row by row.

    Attributes:
        rows: ``(M,)``, in ascending order.
        columns: ``(M,)``.
        position: ``(M,)``, which of its row's entries each one is.
        count: ``(N,)``, how many each row has.
    """

    rows: Tensor
    columns: Tensor
    position: Tensor
    count: Tensor

    @classmethod
    def where(cls, chosen: Tensor) -> Packed:
        rows, columns = chosen.nonzero(as_tuple=True)
        count = torch.bincount(rows, minlength=len(chosen))
        position = torch.arange(len(rows), device=chosen.device) - (count.cumsum(0) - count)[rows]
        return cls(rows, columns, position, count)

    @property
    def width(self) -> int:
        """The most that a row has, at least 1."""
        return max(int(self.count.max()), 1) if len(self.count) else 1

    def total(self, entries: Tensor) -> Tensor:
        """The sum over each row: ``(M,) → (N,)``."""
        return entries.new_zeros(len(self.count)).index_add_(0, self.rows, entries)


def certificate(energy: Energy, z: Tensor) -> dict[str, Tensor]:
    """A code's energy, and how far above the optimum it can be at most: ``(*B)`` each, in units of energy.

    The dual point is the residual y − Wz, scaled until no atom correlates with it by more than λ; the gap is 0 exactly at
    the optimum. The bound holds where the smooth part is nowhere negative, as a reconstruction is; it is infinite where the
    smooth part is seen to be negative.

    Raises:
        StructureError: If the energy is not a lasso.
    """
    batch = energy.space.batch_shape(z)
    problem = lasso(energy, batch)
    z = z.reshape(problem.linear.shape)
    packed = Packed.where(z != 0)
    place = (packed.rows, packed.columns)
    entries = z[place]
    image = _image(z, problem.gram, packed, entries)
    product, square = packed.total(entries * problem.linear[place]), packed.total(entries * image[place])
    correlation = image.neg_().add_(problem.linear)
    largest = correlation.abs().amax(1) if problem.negative else correlation.amax(1)
    scale = (problem.weight / largest.clamp_min(torch.finfo(z.dtype).tiny)).clamp_max(1)
    fit = problem.constant - product + 0.5 * square  # ½‖y − Wz‖²
    primal = fit + problem.weight * packed.total(entries.abs())
    dual = scale * (2 * problem.constant - product) - scale.square() * fit
    gap = (primal - dual).clamp_min(0).masked_fill(fit < -1e-4 * problem.constant.abs(), torch.inf)
    return {"energy": primal.reshape(batch), "duality_gap": gap.reshape(batch)}


def _image(z: Tensor, gram: Tensor, packed: Packed, entries: Tensor) -> Tensor:
    """Gz: from the non-zeros alone where there are few."""
    if 8 * packed.width > len(gram):
        return z @ gram
    atoms = torch.zeros(len(z), packed.width, dtype=torch.int64, device=z.device)
    code = z.new_zeros(len(z), packed.width)
    atoms[packed.rows, packed.position] = packed.columns
    code[packed.rows, packed.position] = entries
    return F.embedding_bag(atoms, gram, per_sample_weights=code, mode="sum")
