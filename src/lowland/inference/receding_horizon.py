"""Receding horizon: plan, take the first action, look where one is, and plan again from there.

What is left of the old plan, one step on, is where the next search begins; what else a solver carries over, its `resume` says.

Sources: Richalet et al., Model predictive heuristic control, Automatica 14 (1978); Nagabandi et al., ICRA 2018.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import DivergenceError, VariableError
from .solver import Solution, Solver, solve


class RecedingHorizon:
    """An agent that plans in every step; many problems at once.

    Args:
        energy: Of the state ``s`` and the plan ``a (T, *A)``, as `lowland.energy.Rollout` is; other variables are given.
        solver: How to look for a plan.
        steps: How many steps of it, for each action.
        first_steps: How many for the first action, where there is no old plan to begin with; ``steps`` by default.
        generator: Source of randomness.
        **options: For `solve`: ``tol``, ``compile``, …

    Attributes:
        solution: What the last search found; ``None`` at the start of an episode.

    Raises:
        VariableError: If the energy has other variables than a state and a plan.
    """

    def __init__(
        self,
        energy: Energy,
        solver: Solver,
        steps: int = 10,
        *,
        first_steps: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        if energy.spaces.keys() != {"s", "a"}:
            raise VariableError(
                f"RecedingHorizon: wanted an energy of s and a, got one of {', '.join(energy.spaces)}: give or eliminate the others."
            )
        self.energy, self.solver, self.steps = energy, solver, steps
        self.first_steps = first_steps or steps
        self.generator, self.options = generator, options
        self.solution: Solution | None = None

    def reset(self) -> None:
        """Forget the plan: a new episode begins."""
        self.solution = None

    def act(self, s: Tensor) -> Tensor:
        """What to do now: the first action ``(*B, *A)`` of a new plan from the states ``(*B, *S)``.

        Where the search meets nothing but numbers that are not finite, what is left of the last plan is followed, with a warning.

        Raises:
            DivergenceError: If that happens before there is a plan.
        """
        event, last = len(self.energy.spaces["a"].shape), self.solution
        try:
            conditioned = self.energy.given(s=s)
            if last is None:  # the same start for every state: noise is the solver's business
                start = conditioned.space.initial(tuple(conditioned.batch_shape), device=s.device, dtype=s.dtype)
                steps, state = self.first_steps, None
            else:
                start, steps = None, self.steps
                state = self.solver.resume(conditioned, last, lambda plan: shifted(plan, event), self.generator)
            self.solution = solve(
                self.solver, conditioned, start, state=state, steps=steps, generator=self.generator, **self.options
            )
        except DivergenceError as error:
            if last is None:
                raise
            warnings.warn(f"RecedingHorizon goes on with the last plan that was safe: {error}", stacklevel=2)
            self.solution = replace(last, value=shifted(last.value, event), state=None)
        plan = self.solution.value
        return plan.select(plan.ndim - event, 0)

    @property
    def plan(self) -> Tensor | None:
        """The last one, ``(*B, T, *A)``; ``None`` at the start of an episode."""
        return None if self.solution is None else self.solution.value


def shifted(plan: Tensor, event: int) -> Tensor:
    """A plan one step on, its last action once more; time is the first of the ``event`` last axes."""
    time = plan.ndim - event
    length = plan.shape[time]
    return torch.cat([plan.narrow(time, 1, length - 1), plan.narrow(time, length - 1, 1)], time)
