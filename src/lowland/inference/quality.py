"""How good is a search? Compare it with the exact answer where there is one."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..energy import Driven, Energy
from ..errors import StructureError
from .gradient import Newton
from .infer import infer
from .solver import Solution, Solver

#: How often a policy is asked when its time is taken: once takes too little to be measured.
POLICY_CALLS = 20


class Quality(NamedTuple):
    """A search beside the exact answer.

    Attributes:
        gap: ``(*B)``, how far above the lowest energy the search ended; ≥ 0 up to rounding.
        found: Fraction of samples whose gap is at most the tolerance.
        seconds: The search took so long.
        exact_seconds: The exact answer took so long.
    """

    gap: Tensor
    found: float
    seconds: float
    exact_seconds: float


class Followed(NamedTuple):
    """A policy beside planning, from the same states.

    Attributes:
        extra: Energy of what the policy does above that of the best plans, as a part of the latter.
        speed: Processor time of planning over that of asking the policy.
    """

    extra: float
    speed: float


def policy_beside_planning(
    driven: Driven,
    solver: Solver,
    s: Tensor,
    *,
    steps: int,
    reference: Solver,
    reference_steps: int,
    generator: torch.Generator | None = None,
) -> Followed:
    """What it costs to follow a policy rather than to plan, and how much sooner it answers.

    Args:
        driven: The policy, and the energy of a plan.
        solver: How plans are looked for: what the policy's time is compared with.
        s: ``(N, *S)``, the states.
        steps: Of that solver.
        reference: A more thorough one: what the policy's energy is compared with.
        reference_steps: Of the reference.
        generator: Source of randomness.
    """
    with torch.no_grad():
        began = time.process_time()
        infer(driven.rollout, "a", solver=solver, options={"steps": steps, "generator": generator}, s=s)
        middle = time.process_time()
        for _ in range(POLICY_CALLS):
            driven.policy(s)
        ended = time.process_time()
        options = {"steps": reference_steps, "generator": generator}
        best = infer(driven.rollout, "a", solver=reference, options=options, s=s).energy.sum()
        extra = (driven(s=s).sum() - best) / best.abs()
    return Followed(float(extra), POLICY_CALLS * (middle - began) / max(ended - middle, 1e-9))


def how_good(
    energy: Energy,
    unknown: str,
    solver: Solver,
    *,
    reference: Solver | None = None,
    tolerance: float = 1e-3,
    options: dict[str, Any] | None = None,
    **known: Any,
) -> Quality:
    """Compare an approximate solver with the exact one on an instance small enough to have one.

    A finite variable is looked up in its table, a quadratic is solved; for anything else give a ``reference`` that you trust.

    Args:
        energy: The energy.
        unknown: The variable that is looked for.
        solver: The search to judge.
        reference: What to judge it by, where no exact answer is known.
        tolerance: Largest gap that counts as found, in units of energy.
        options: For the search: ``steps``, ``tol``, ``generator``, …
        **known: The other variables.

    Raises:
        StructureError: If there is no exact answer and no reference.
    """
    began = time.perf_counter()
    exact = _exact(energy, unknown, reference, known)
    middle = time.perf_counter()
    searched = infer(energy, unknown, solver=solver, options=options, **known)
    ended = time.perf_counter()
    gap = searched.energy - exact.energy
    found = float((gap <= tolerance).double().mean())
    return Quality(gap, found, ended - middle, middle - began)


def _exact(energy: Energy, unknown: str, reference: Solver | None, known: dict[str, Any]) -> Solution:
    if reference is not None:
        return infer(energy, unknown, solver=reference, options={"steps": 100_000, "tol": 1e-6}, **known)
    energy.known({unknown})
    if energy.spaces[unknown].size is not None:
        return infer(energy, unknown, **known)
    if not energy.spaces[unknown].finite and energy.given(**known).quadratic_form() is not None:
        return infer(energy, unknown, solver=Newton(), **known)
    raise StructureError(
        f"how_good: {unknown} is neither finite nor quadratic, so nothing exact is known: give a reference solver."
    )
