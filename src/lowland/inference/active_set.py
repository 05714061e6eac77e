"""An active set for each sample: where codes are sparse, most atoms never matter, so don't multiply by them.

    active ← {k : z_k ≠ 0 or |b_k − (Gz)_k| > λ}
    z      ← a few sweeps of coordinate descent over the active atoms, on their part of G
    b − Gz ← from the few non-zeros of z alone

Samples with about as many active atoms are padded to the same length and solved together, so the work grows with the
number of non-zeros, not with the number of atoms. Every step lowers the energy; at a fixed point all atoms outside the
set correlate by less than λ with the residual, which is the optimality condition.

Sources: Friedman, Hastie & Tibshirani, J. Stat. Software 33 (2010), section 2.6 (active sets); Osborne, Presnell &
Turlach, IMA J. Numer. Anal. 20 (2000).
Needs: a quadratic with one Gram matrix, an L1 term. Finds: the minimum. Where codes are dense `ADMM` is faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..energy import Energy
from .lasso import Lasso, Packed, certificate, lasso
from .solver import Info, Solver

#: Entries of gathered Gram matrices that are worked on together: few enough to stay in a core's cache.
CHUNK = 250_000


class ActiveSetState(NamedTuple):
    z: Tensor  # (*B, *event)
    correlation: Tensor  # (*B, K), b − Gz


@dataclass(frozen=True)
class ActiveSet(Solver):
    """Coordinate descent on the atoms that matter to each sample.

    Attributes:
        sweeps: Over the active atoms, before the set is looked at again.
    """

    sweeps: int = 5

    tried_on: ClassVar[str] = "kink"
    look_every: ClassVar[int] = 1
    exempt: ClassVar[Mapping[str, str]] = {"unroll": "the active set is found by comparisons and worked on in place"}

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> ActiveSetState:
        problem = lasso(energy, energy.space.batch_shape(value))
        z = value.reshape(problem.linear.shape)
        correlation = problem.linear - z @ problem.gram if bool(z.any()) else problem.linear
        return ActiveSetState(value, correlation.reshape(*energy.space.batch_shape(value), -1))

    @torch.no_grad()
    def step(self, energy: Energy, state: ActiveSetState) -> tuple[ActiveSetState, Info]:
        batch = energy.space.batch_shape(state.z)
        problem = lasso(energy, batch)
        before = state.z.reshape(problem.linear.shape)
        correlation = state.correlation.reshape(problem.linear.shape)
        active = Packed.where((problem.clip(correlation) != correlation).logical_or_(before != 0))
        entries, correlation, residual = self._improve(problem, active, before, correlation)
        place = (active.rows, active.columns)
        z = torch.zeros_like(before).index_put_(place, entries)
        smooth = -0.5 * active.total(entries * (problem.linear[place] + correlation[place])) + problem.constant
        energies = smooth + problem.weight * active.total(entries.abs())
        new = ActiveSetState(z.reshape(state.z.shape), correlation.reshape(state.correlation.shape))
        return new, Info(energies.reshape(batch), residual.reshape(batch))

    def certificate(self, energy: Energy, value: Tensor) -> dict[str, Tensor]:
        return certificate(energy, value)

    def _improve(self, problem: Lasso, active: Packed, z: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The active entries after a round on each sample's own atoms; b − Gz ``(N, K)`` and the residual ``(N,)`` there."""
        place, packed = (active.rows, active.columns), (active.rows, active.position)
        atoms = torch.full((len(z), active.width), z.shape[1], device=z.device)  # K stands for "no atom"
        atoms[packed] = active.columns
        code, linear = z.new_zeros(2, len(z), active.width)
        code[packed], linear[packed] = z[place], problem.linear[place]
        gram = F.pad(problem.gram, (0, 1, 0, 1))
        gram[-1, -1] = 1
        correlation, residual = torch.empty_like(correlation), z.new_empty(len(z))
        order = active.count.argsort(descending=True)
        lengths = active.count[order].tolist()
        start = 0
        while start < len(order):  # a turn for samples with about as many active atoms
            length = max(lengths[start], 1)
            rows = order[start : start + max(CHUNK // length**2, 16)]
            start += len(rows)
            some = atoms[rows, :length]
            solved = _sweep(gram, some, linear[rows, :length], code[rows, :length], problem, self.sweeps)
            left = problem.linear[rows] - F.embedding_bag(some, gram, per_sample_weights=solved, mode="sum")[:, :-1]
            found = left.new_zeros(len(rows), len(gram)).scatter_(1, some, solved)[:, :-1]
            code[rows, :length], correlation[rows], residual[rows] = solved, left, problem.residual(found, left)
        return code[packed], correlation, residual


def _sweep(gram: Tensor, atoms: Tensor, linear: Tensor, code: Tensor, problem: Lasso, sweeps: int) -> Tensor:
    """Coordinate descent over every sample's own atoms, all samples at once: ``(M, P)`` each."""
    at = atoms.T
    own = gram.view(-1)[(at * len(gram)).unsqueeze(1) + at]  # (P, P, M): each sample's part of G
    curvature = own.diagonal().T.clamp_min(torch.finfo(gram.dtype).tiny)
    z = code.T.contiguous()
    correlation = linear.T - (own * z).sum(1) if bool(z.any()) else linear.T.contiguous()
    for _ in range(sweeps):
        for k in range(len(z)):
            wanted = torch.addcmul(correlation[k], curvature[k], z[k])
            new = (wanted - problem.clip(wanted)).div_(curvature[k])
            correlation.addcmul_(own[k], new - z[k], value=-1)
            z[k] = new
    return z.T.contiguous()
