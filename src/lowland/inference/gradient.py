"""Downhill: projected gradient descent, any torch optimiser, L-BFGS and Newton's method for quadratics.

    gradient descent   z ← Π( z − η ∇E(z) )
    L-BFGS             z ← z − η H ∇E(z),   H from the last m moves
    Newton             z ← G⁻¹ b   for ½ zᵀGz − bᵀz

Sources: Beck, First-Order Methods in Optimization (2017), ch. 10; Nocedal & Wright, Numerical Optimization (2006),
algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy, QuadraticForm
from ..errors import SpaceError, StructureError
from ..spaces import Space
from .solver import Info, Solver


class GradientState(NamedTuple):
    z: Tensor  # (*B, *event), always inside the space
    energy: Tensor  # (*B)
    slope: Tensor  # (*B, *event)
    rate: Tensor  # (*B)


@dataclass(frozen=True)
class GradientDescent(Solver):
    """Projected gradient descent.

    Needs: a slope, a space that can be projected onto. Finds: a stationary point, not always the minimum.

    Attributes:
        rate: η > 0, in units of z² per unit of energy. ``None`` finds one for each sample: it grows by a tenth while
            the quadratic bound at the last point holds and halves where it does not (that move is not made).
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0:
            raise SpaceError(f"GradientDescent: wanted a rate > 0, got {self.rate}.")

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> GradientState:
        energies, slope = energy.value_and_gradient(value)
        return GradientState(value, energies, slope, torch.full_like(energies, self.rate or 1.0))

    def step(self, energy: Energy, state: GradientState) -> tuple[GradientState, Info]:
        z, before, slope, rate = state
        space = energy.space
        eta = self.rate or spread(rate, space)
        moved = space.project(z - eta * slope)
        move = moved - z
        after, new_slope = energy.value_and_gradient(moved)
        residual = space.norm(move) / rate
        if self.rate is not None:
            return GradientState(moved, after, new_slope, rate), Info(before, residual)
        bound = before + space.inner(torch.addcdiv(slope, move, spread(rate, space), value=0.5), move)
        rounding = 8 * torch.finfo(before.dtype).eps
        taken = after <= torch.add(bound, before.abs(), alpha=rounding) + rounding
        here = spread(taken, space)
        z, slope = torch.where(here, moved, z), torch.where(here, new_slope, slope)
        rate = rate * (0.5 + 0.6 * taken)
        return GradientState(z, torch.where(taken, after, before), slope, rate), Info(before, residual)


class OptimizerState(NamedTuple):
    z: Tensor
    optimizer: Any


@dataclass(frozen=True)
class TorchOptimizer(Solver):
    """Any optimiser of ``torch.optim`` that treats entries one by one (SGD, Adam, RMSprop, …), projected.

    Attributes:
        factory: Makes the optimiser of a list of tensors: ``lambda tensors: torch.optim.Adam(tensors, lr=0.1)``.
    """

    factory: Callable[[list[Tensor]], torch.optim.Optimizer]
    exempt: ClassVar[Mapping[str, str]] = {
        "compaction": "the optimiser's own state can't be indexed by sample",
        "unroll": "torch's optimisers cut the graph",
    }

    @classmethod
    def example(cls) -> TorchOptimizer:
        return cls(lambda tensors: torch.optim.SGD(tensors, lr=0.2, momentum=0.5))

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> OptimizerState:
        z = value.detach().clone()
        return OptimizerState(z, self.factory([z]))

    def step(self, energy: Energy, state: OptimizerState) -> tuple[OptimizerState, Info]:
        z = state.z
        energies, slope = energy.value_and_gradient(z)
        space = energy.space
        residual = space.norm(space.project(z - slope) - z)
        z.grad = slope
        state.optimizer.step()
        z.grad = None
        z.copy_(space.project(z))
        return state, Info(energies, residual)


class LBFGSState(NamedTuple):
    z: Tensor  # (*B, *event)
    energy: Tensor  # (*B)
    slope: Tensor  # (*B, *event)
    moves: Tensor  # (*B, m, D), newest last; zero where there is none yet
    turns: Tensor  # (*B, m, D), changes of the slope along the moves
    weights: Tensor  # (*B, m), 1 / moveᵀturn; 0 where there is none


@dataclass(frozen=True)
class LBFGS(Solver):
    """Limited-memory BFGS with a backtracking line search, each sample for itself.

    Needs: a slope, an unconstrained space. Finds: a stationary point; superlinear near a minimum.

    Attributes:
        history: m, how many moves are remembered.
        backtracks: How often a step is halved before the sample stays where it is.
    """

    history: int = 10
    backtracks: int = 25

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> LBFGSState:
        energies, slope = energy.value_and_gradient(value)
        empty = value.new_zeros(*energies.shape, self.history, energy.space.shape.numel())
        return LBFGSState(value, energies, slope, empty, empty, empty[..., 0])

    def direction(self, slope: Tensor, moves: Tensor, turns: Tensor, weights: Tensor) -> Tensor:
        """−H slope by the two-loop recursion; all ``(*B, D)``."""
        q = slope
        alphas = []
        for i in reversed(range(self.history)):
            alpha = weights[..., i] * (moves[..., i, :] * q).sum(-1)
            q = q - alpha[..., None] * turns[..., i, :]
            alphas.append(alpha)
        latest = turns[..., -1, :].square().sum(-1)
        scale = torch.where(
            weights[..., -1] > 0, 1 / (weights[..., -1] * latest).clamp_min(1e-30), 1 / slope.norm(dim=-1).clamp_min(1)
        )
        q = scale[..., None] * q
        for i, alpha in enumerate(reversed(alphas)):
            beta = weights[..., i] * (turns[..., i, :] * q).sum(-1)
            q = q + (alpha - beta)[..., None] * moves[..., i, :]
        return -q

    def step(self, energy: Energy, state: LBFGSState) -> tuple[LBFGSState, Info]:
        space, batch = energy.space, state.energy.shape
        slope = state.slope.reshape(*batch, -1)
        way = self.direction(slope, state.moves, state.turns, state.weights)
        descent = (way * slope).sum(-1)
        uphill = descent >= 0
        way = torch.where(uphill[..., None], -slope, way)
        descent = torch.where(uphill, -slope.square().sum(-1), descent)
        rate = torch.ones_like(state.energy)
        slack = 4 * torch.finfo(state.energy.dtype).eps * state.energy.abs().clamp_min(1)
        taken = torch.zeros_like(uphill)
        z, energies, new_slope = state.z, state.energy, state.slope
        for _ in range(self.backtracks + 1):
            trial = state.z + (rate[..., None] * way).reshape(state.z.shape)
            trial_energy, trial_slope = energy.value_and_gradient(trial)
            good = ~taken & (trial_energy <= state.energy + 1e-4 * rate * descent + slack)
            z = torch.where(spread(good, space), trial, z)
            new_slope = torch.where(spread(good, space), trial_slope, new_slope)
            energies = torch.where(good, trial_energy, energies)
            taken = taken | good
            if bool(taken.all()):
                break
            rate = torch.where(taken, rate, 0.5 * rate)
        move = (z - state.z).reshape(*batch, -1)
        turn = (new_slope - state.slope).reshape(*batch, -1)
        curvature = (move * turn).sum(-1)
        useful = curvature > 1e-10 * turn.square().sum(-1)
        weight = torch.where(useful, 1 / curvature.clamp_min(1e-30), torch.zeros_like(curvature))
        keep = spread_to(useful, state.moves)
        moves = torch.where(keep, torch.cat([state.moves[..., 1:, :], move[..., None, :]], -2), state.moves)
        turns = torch.where(keep, torch.cat([state.turns[..., 1:, :], turn[..., None, :]], -2), state.turns)
        # a sample that did not move, or moved where the energy bends down, forgets and tries steepest descent next
        weights = useful[..., None] * torch.cat([state.weights[..., 1:], weight[..., None]], -1)
        return LBFGSState(z, energies, new_slope, moves, turns, weights), Info(state.energy, space.norm(new_slope))


class NewtonState(NamedTuple):
    z: Tensor


@dataclass(frozen=True)
class Newton(Solver):
    """The lowest point of a quadratic in one step.

    Needs: an energy that knows its quadratic form, positive definite, in an unconstrained space.
    """

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> NewtonState:
        self._form(energy)
        return NewtonState(value)

    def _form(self, energy: Energy) -> QuadraticForm:
        form = energy.quadratic_form()
        if form is None:
            wanted = f"{type(energy).__name__} is not a quadratic of {energy.variable}"
            raise StructureError(f"Newton: {wanted}; use LBFGS or GradientDescent.")
        return form

    def step(self, energy: Energy, state: NewtonState) -> tuple[NewtonState, Info]:
        form = self._form(energy)
        factor, failed = torch.linalg.cholesky_ex(form.gram)
        if bool(failed.any()):
            raise StructureError(
                "Newton: the quadratic has no lowest point (its matrix is not positive definite): add an L2 term."
            )
        z = torch.cholesky_solve(form.linear.unsqueeze(-1), factor).squeeze(-1)
        value = z.reshape(state.z.shape)
        before = energy.value(state.z)
        slope = (form.gram @ z.unsqueeze(-1)).squeeze(-1) - form.linear
        return NewtonState(value), Info(before, slope.norm(dim=-1))


def spread(rows: Tensor, space: Space) -> Tensor:
    """One number a sample, shaped to multiply events of the space: ``(*B) → (*B, 1, …)``."""
    return rows.reshape(*rows.shape, *[1] * len(space.shape))


def spread_to(rows: Tensor, like: Tensor) -> Tensor:
    """One number a sample, shaped to broadcast against ``like (*B, …)``."""
    return rows.reshape(*rows.shape, *[1] * (like.ndim - rows.ndim))
