"""Amortised inference: an encoder has seen the search often enough to guess its end; a few real steps finish it.

Sources: Gregor & LeCun, Learning Fast Approximations of Sparse Coding, ICML 2010; Gershman & Goodman, CogSci 2014.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..energy import Energy
from ..errors import StructureError
from .gradient import LBFGS
from .solver import Info, Solver, solve


@dataclass(frozen=True)
class Amortised(Solver):
    """Start where an encoder says, then refine.

    Attributes:
        encoder: Called with what is known, by name; returns a guess ``(*B, *event)``.
        refine: The solver that goes on from there; ``None`` trusts the guess. How steep the energy is there is then the residual; of
            symbols and labels, which have no slope, it is 0.
    """

    encoder: Callable[..., Tensor]
    refine: Solver | None = None

    def start(self, energy: Energy, known: Mapping[str, Any], generator: torch.Generator | None = None) -> Tensor:
        if not known:
            raise StructureError("Amortised: the encoder needs what is known; call `infer`, or give `solve` an init.")
        return self.encoder(**known)

    @classmethod
    def example(cls) -> Amortised:
        return cls(lambda linear, constant: linear, LBFGS())

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> Any:
        return self.refine.init(energy, value, generator) if self.refine else _Guess(value)

    def step(self, energy: Energy, state: Any) -> tuple[Any, Info]:
        if self.refine:
            return self.refine.step(energy, state)
        if state.energy is None:
            state = self._weighed(energy, state.z)
        return state, Info(state.energy, state.residual)

    def _weighed(self, energy: Energy, z: Tensor) -> _Guess:
        if energy.space.kind != "float":
            energies = energy.value(z)
            return _Guess(z, energies, torch.zeros_like(energies))
        energies, slope = energy.value_and_gradient(z)
        return _Guess(z, energies, energy.space.norm(slope))

    def energies(self, state: Any) -> Tensor | None:
        return self.refine.energies(state) if self.refine else state.energy

    def certificate(self, energy: Energy, value: Tensor) -> dict[str, Tensor]:
        return self.refine.certificate(energy, value) if self.refine else {}


class _Guess(NamedTuple):
    z: Tensor
    energy: Tensor | None = None  # of it, and its residual: not before the first step
    residual: Tensor | None = None


class Amortisation(NamedTuple):
    """What distilling a solver bought.

    Attributes:
        solver: The encoder, refined by nothing.
        gap: Mean energy of its guesses above the solver's answers, on held-out inputs.
        speedup: Seconds of the solver over seconds of the encoder, for the same inputs.
        losses: Training loss at each step.
    """

    solver: Amortised
    gap: float
    speedup: float
    losses: list[float]


def amortise(
    energy: Energy,
    name: str,
    solver: Solver,
    encoder: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    held_out: Mapping[str, Tensor],
    *,
    rate: float = 1e-3,
    **options: Any,
) -> Amortisation:
    """Distil a solver into an encoder by regression on its answers (Gregor & LeCun 2010, eq. 6).

    Args:
        energy: The energy.
        name: The variable that is searched.
        solver: The teacher.
        encoder: Called with the known variables by name; trained in place by Adam.
        batches: What is known, batch after batch.
        held_out: What is known, for measuring the gap and the time.
        rate: Adam's, in units of weight per step.
        **options: For the teacher's `solve`.
    """
    optimizer = torch.optim.Adam(encoder.parameters(), lr=rate)
    losses = []
    for batch in batches:
        target = solve(solver, energy.given(**batch), **options).value
        loss = (encoder(**batch) - target).square().flatten(1).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    conditioned = energy.given(**held_out)
    began = time.perf_counter()
    best = solve(solver, conditioned, **options).energy
    middle = time.perf_counter()
    with torch.no_grad():
        guess = encoder(**held_out)
    ended = time.perf_counter()
    with torch.no_grad():
        gap = (conditioned.value(guess) - best).mean().item()
    return Amortisation(Amortised(encoder), gap, (middle - began) / max(ended - middle, 1e-9), losses)
