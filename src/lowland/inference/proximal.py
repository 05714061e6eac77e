"""Proximal gradient descent, for a smooth energy plus one with a kink.

    ISTA    z ← prox_{ηR}( z − η ∇S(z) ),              E = S + R
    FISTA   the same from an extrapolated point, z + k/(k+3) (z − z_before); started afresh when it goes uphill

Sources: Beck & Teboulle, SIAM J. Imaging Sciences 2 (2009); Chambolle & Dossal, J. Optim. Theory Appl. 166 (2015), for the
extrapolation; O'Donoghue & Candès, Found. Comput. Math. 15 (2015), for the
restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError, StructureError
from .gradient import spread
from .solver import Info, Solver


def lipschitz(energy: Energy) -> Tensor:
    """The largest curvature of a quadratic: the largest eigenvalue of its Gram matrix, by power iteration where it knows none.

    Raises:
        StructureError: If the energy is not a quadratic.
    """
    form = energy.quadratic_form()
    return _power_iteration(energy) if form is None else torch.linalg.eigvalsh(form.gram.detach())[..., -1]


@torch.no_grad()
def _power_iteration(energy: Energy, steps: int = 24, margin: float = 1.05) -> Tensor:
    """From the slope, which is G z − b for a quadratic; the margin is there because the estimate comes from below."""
    space, like = energy.space, energy.reference
    zero = space.initial(tuple(energy.batch_shape), device=energy.device, dtype=None if like is None else like.dtype)
    offset = energy.value_and_gradient(zero)[1]
    z = torch.randn(zero.shape, generator=torch.Generator().manual_seed(0), dtype=zero.dtype).to(zero.device)
    for _ in range(steps):
        unit = z / spread(space.norm(z).clamp_min(torch.finfo(z.dtype).tiny), space)
        z = energy.value_and_gradient(unit)[1] - offset
    twice = energy.value_and_gradient(2 * z)[1] - offset
    again = energy.value_and_gradient(z)[1] - offset
    if not torch.allclose(twice, 2 * again, rtol=1e-2, atol=1e-3 * float(space.norm(again).max())):
        raise StructureError(
            f"The smooth part ({type(energy).__name__}) is not a quadratic, so no rate follows from it: give the solver a rate."
        )
    return margin * space.norm(z)


def _proximal_step(energy: Energy, z: Tensor, rate: Tensor | float) -> tuple[Tensor, Tensor]:
    smooth, kink = energy.composite()
    energies, slope = smooth.value_and_gradient(z)
    moved = z - rate * slope
    if kink is not None:
        moved = kink.prox(moved, rate)
    return energy.space.project(moved), energies


class ISTAState(NamedTuple):
    z: Tensor  # (*B, *event)
    rate: float


@dataclass(frozen=True)
class ISTA(Solver):
    """Iterative shrinkage and thresholding.

    Attributes:
        rate: η > 0, at most 1 / the largest curvature of the smooth part, in units of z² per unit of energy; ``None``
            takes just that from a quadratic.
    """

    rate: float | None = None

    tried_on: ClassVar[str] = "kink"

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> ISTAState:
        return ISTAState(value, _rate(self.rate, energy))

    def step(self, energy: Energy, state: ISTAState) -> tuple[ISTAState, Info]:
        z, energies = _proximal_step(energy, state.z, state.rate)
        return ISTAState(z, state.rate), Info(energies, energy.space.norm(z - state.z) / state.rate)


class FISTAState(NamedTuple):
    z: Tensor  # (*B, *event)
    ahead: Tensor  # (*B, *event), the extrapolated point
    moves: Tensor  # (*B), steps since the last restart
    rate: float


@dataclass(frozen=True)
class FISTA(Solver):
    """Fast ISTA, restarted for each sample when its momentum points uphill.

    Attributes:
        rate: As for `ISTA`.
    """

    rate: float | None = None

    tried_on: ClassVar[str] = "kink"

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> FISTAState:
        batch = energy.space.batch_shape(value)
        return FISTAState(value, value, value.new_zeros(batch), _rate(self.rate, energy))

    def step(self, energy: Energy, state: FISTAState) -> tuple[FISTAState, Info]:
        space = energy.space
        z, energies = _proximal_step(energy, state.ahead, state.rate)
        move, back = z - state.z, state.ahead - z
        downhill = space.inner(back, move) <= 0
        moves = downhill * (state.moves + 1)
        ahead = torch.addcmul(z, spread(moves / (moves + 3), space), move)
        return FISTAState(z, ahead, moves, state.rate), Info(energies, space.norm(back) / state.rate)


def _rate(rate: float | None, energy: Energy) -> float:
    if rate is None:
        return 1 / max(float(lipschitz(energy.composite()[0]).max()), 1e-30)
    if not rate > 0:
        raise SpaceError(f"wanted a rate > 0, got {rate}.")
    return rate
