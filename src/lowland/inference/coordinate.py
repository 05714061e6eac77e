"""Coordinate descent for sparse codes, on the Gram matrix, all samples at once.

    z_k ← S_λ( b_k − Σ_{j≠k} G_kj z_j ) / G_kk,      S_λ the soft threshold
    cyclic    k = 1 … K in turn, a step is one pass
    greedy    the k that moves most, in each sample its own: a step moves one entry

Sources: Friedman, Hastie & Tibshirani, J. Stat. Software 33 (2010), section 2 (cyclic); Li & Osher, Inverse Problems and
Imaging 3 (2009), and Gregor & LeCun, ICML 2010, algorithm 2 (greedy).
Needs: a quadratic with one Gram matrix, an L1 term. Finds: the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from .lasso import Lasso, certificate, lasso
from .solver import Info, Solver

#: Coordinates whose effect on the others is added up before it is applied: one product instead of many.
BLOCK = 32


class CoordinateState(NamedTuple):
    z: Tensor  # (*B, *event)
    correlation: Tensor  # (*B, K), b − Gz


class _Coordinates(Solver):
    tried_on: ClassVar[str] = "kink"

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> CoordinateState:
        batch = energy.space.batch_shape(value)
        problem = lasso(energy, batch)
        correlation = problem.linear - value.reshape(problem.linear.shape) @ problem.gram
        return CoordinateState(value, correlation.reshape(*batch, -1))

    def step(self, energy: Energy, state: CoordinateState) -> tuple[CoordinateState, Info]:
        batch = energy.space.batch_shape(state.z)
        problem = lasso(energy, batch)
        shape = problem.linear.shape
        z, correlation = self._move(problem, state.z.reshape(shape), state.correlation.reshape(shape))
        smooth = problem.constant - 0.5 * (z * (problem.linear + correlation)).sum(1)
        info = Info(
            (smooth + problem.weight * z.abs().sum(1)).reshape(batch), problem.residual(z, correlation).reshape(batch)
        )
        return CoordinateState(z.reshape(state.z.shape), correlation.reshape(state.correlation.shape)), info

    def certificate(self, energy: Energy, value: Tensor) -> dict[str, Tensor]:
        return certificate(energy, value)

    def _move(self, problem: Lasso, z: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


@dataclass(frozen=True)
class CoordinateDescent(_Coordinates):
    """Cyclic: every entry in turn."""

    def _move(self, problem: Lasso, z: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
        gram, curvature = problem.gram, _curvature(problem)
        blocks = []
        for begin in range(0, len(gram), BLOCK):
            block = slice(begin, begin + BLOCK)
            own, near, moves = gram[block, block], correlation[:, block], []
            for k, before in enumerate(z[:, block].unbind(1)):
                wanted = near[:, k] + curvature[begin + k] * before
                moves.append((wanted - problem.clip(wanted)) / curvature[begin + k] - before)
                near = near - moves[-1].unsqueeze(1) * own[k]
            move = torch.stack(moves, 1)
            blocks.append(z[:, block] + move)
            correlation = correlation - move @ gram[block]
        return torch.cat(blocks, 1), correlation


@dataclass(frozen=True)
class GreedyCoordinateDescent(_Coordinates):
    """Greedy: in each sample the entry that moves most."""

    def _move(self, problem: Lasso, z: Tensor, correlation: Tensor) -> tuple[Tensor, Tensor]:
        curvature = _curvature(problem)
        wanted = correlation + curvature * z
        moves = (wanted - problem.clip(wanted)) / curvature - z
        chosen = moves.abs().argmax(1, keepdim=True)
        move = moves.gather(1, chosen)
        return z.scatter_add(1, chosen, move), correlation - move * problem.gram[chosen.squeeze(1)]


def _curvature(problem: Lasso) -> Tensor:
    return problem.gram.diagonal().clamp_min(torch.finfo(problem.gram.dtype).tiny)
