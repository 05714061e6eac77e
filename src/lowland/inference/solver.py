"""A solver is two pure methods, and one loop runs them all.

    state       = solver.init(energy, value, generator)      energy: everything known is already given
    state, info = solver.step(energy, state)
    solution    = solve(solver, energy, init, steps=…, tol=…)

*State* is what the next step needs; *info* is what a person needs. Stopping, dropping converged samples, history,
checks for numbers that are not finite, time budgets and progress live in `solve` and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ..energy import Energy, Reduction, Relaxation
from ..errors import DivergenceError, SpaceError
from .compiled import Compiled

#: How many steps pass between two looks at convergence: a look costs about as much as a step of a small energy.
LOOK_EVERY = 8


class Info(NamedTuple):
    """What a person wants to know of one step.

    Attributes:
        energy: ``(*B)``, where the step began; the lowest of its candidates for a stochastic solver.
        residual: ``(*B)``, 0 exactly at a solution, in units of the slope; ``None`` for a sampler or a stochastic solver, which
            never arrive.
        accepted: ``(*B)`` booleans, whether the proposal was taken, for solvers that propose.
    """

    energy: Tensor
    residual: Tensor | None = None
    accepted: Tensor | None = None


class Solver:
    """How to look for low energy over one variable; subclasses are frozen dataclasses of their settings.

    A state is a ``NamedTuple`` whose first field is the value; its tensors, and those of tuples in it, lead with the batch dimensions,
    and anything that is not a tensor is shared by the batch.
    """

    #: Why this solver is left out of something: of a conformance check ("unroll", see `lowland.contracts.check_solver`), or
    #: of dropping converged samples on the way ("compaction").
    exempt: ClassVar[Mapping[str, str]] = {}
    #: How many steps pass between two looks at convergence; 1 for a solver whose few steps are large.
    look_every: ClassVar[int] = LOOK_EVERY
    #: What the checks try it on: "smooth" (a quadratic), "kink" (a quadratic and an L1 term), "bits" (an Ising chain), "field" (an
    #: image of labels, by its `relax`) or "sequence" (symbol by symbol).
    tried_on: ClassVar[str] = "smooth"
    #: Whether it draws samples of exp(−β E) rather than look for the lowest point.
    samples: ClassVar[bool] = False
    #: Whether it looks among random candidates: it comes near the lowest point, has no residual, and never claims to have arrived.
    stochastic: ClassVar[bool] = False

    @classmethod
    def example(cls) -> Solver:
        """One with ordinary settings, for the conformance checks."""
        return cls()

    def relax(self, energy: Energy, reduction: Reduction) -> Relaxation | None:
        """The free energy of beliefs that this solver looks over in place of ``energy``; `None`: it looks over ``energy`` itself."""
        return None

    def start(self, energy: Energy, known: Mapping[str, Any], generator: torch.Generator | None = None) -> Tensor:
        """Where to begin when the caller does not say: a point of the space for each sample."""
        reference = energy.reference
        dtype = None if reference is None or energy.space.kind != "float" else reference.dtype
        return energy.space.initial(tuple(energy.batch_shape), generator=generator, device=energy.device, dtype=dtype)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> Any:
        """The state before the first step, at ``value (*B, *event)``."""
        raise NotImplementedError

    def step(self, energy: Energy, state: Any) -> tuple[Any, Info]:
        """The next state, and what a person may want to know of this one."""
        raise NotImplementedError

    def resume(
        self, energy: Energy, last: Solution, move: Callable[[Tensor], Tensor], generator: torch.Generator | None = None
    ) -> Any:
        """The state before the first step on an energy that is much like the last one: what was found there is where to begin.

        Args:
            energy: The one to search now.
            last: What the search on the one before found.
            move: What a value ``(*B, *event)``, or values ``(*B, K, *event)``, have become in between: a plan is a step on, say.
            generator: Source of randomness.
        """
        return self.init(energy, energy.space.project(move(last.value)), generator)

    def energies(self, state: Any) -> Tensor | None:
        """The energy ``(*B)`` of the value in a state, if the state tells; +∞ for samples of which it doesn't, yet."""
        return None

    def certificate(self, energy: Energy, value: Tensor) -> dict[str, Tensor]:
        """What is known about how far ``value`` is from the best: ``{"duality_gap": (*B)}`` where there is one.

        One that knows the energy of ``value`` as well says so (``"energy": (*B)``): it is not computed again.
        """
        return {}


@dataclass(frozen=True)
class Solution:
    """What was found.

    Attributes:
        value: ``(*B, *event)``.
        energy: ``(*B)``, at ``value``.
        converged: ``(*B)`` booleans: whether the optimality condition holds to the tolerance. Always false for samplers.
        steps: How many steps were taken.
        info: What else there is: ``residual``, ``trajectory``, ``acceptance``, a certificate.
        state: The solver's last one, of the samples that had not converged; for `Solver.resume`.
    """

    value: Tensor
    energy: Tensor
    converged: Tensor
    steps: int
    info: dict[str, Any] = field(default_factory=dict)
    state: Any = None


def solve(
    solver: Solver,
    energy: Energy,
    init: Tensor | None = None,
    *,
    state: Any = None,
    steps: int = 1000,
    tol: float = 1e-4,
    budget: float | None = None,
    generator: torch.Generator | None = None,
    record: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
    compile: bool = False,
    unroll: bool = False,
) -> Solution:
    """Run a solver on an energy of one variable. The caller's tensors and ``.grad`` stay as they are.

    Samples that have converged stop costing once they are half of those still running; rows never influence each other.

    Args:
        solver: How to look.
        energy: An energy of one variable: the others are given.
        init: Where to begin, ``(*B, *event)``; the solver's own choice by default.
        state: A state to begin in, as `Solver.resume` gives it, rather than at ``init``.
        steps: At most so many.
        tol: Stop where the residual is at most this, in units of the slope (energy per unit of the variable).
        budget: Stop after so many seconds, with what was found so far.
        generator: Source of randomness for samplers and random starts.
        record: Keep the value every so many steps in ``info["trajectory"] (T, *B, *event)``, the start first; 0 for never.
        progress: Wraps the step counter, for instance ``tqdm.tqdm``.
        compile: Compile the energy's slope with ``torch.compile``: slower to start, faster from then on.
        unroll: Keep the graph of every step, so that gradients flow through the search; runs all the steps.

    Raises:
        DivergenceError: If an energy stops being finite; names the step and the samples.
        SpaceError: If ``init`` has the wrong shape or dtype.
    """
    if steps < 0:
        raise SpaceError(f"solve: wanted steps ≥ 0, got {steps}.")
    whole = energy
    deadline = None if budget is None else time.monotonic() + budget
    with torch.set_grad_enabled(unroll):
        if state is not None:
            init = state[0]
        value = solver.start(energy, {}, generator) if init is None else init
        batch = energy.space.batch_shape(value, energy.variable)
        if torch.broadcast_shapes(batch, energy.batch_shape) != batch:
            raise SpaceError(
                f"solve: wanted a start for each of {tuple(energy.batch_shape)} samples, got batch shape {tuple(batch)}."
            )
        value = energy.space.project(value)
        if compile:
            energy = Compiled(energy)
        state = solver.init(energy, value, generator) if state is None else state
        separable = len(batch) == 1 and energy.batch_shape in ((), batch) and "compaction" not in solver.exempt
        rows = _Rows(value) if separable and not unroll else None
        trajectory = [value.clone()] if record else []
        accepted: list[Tensor] = []
        info, taken = None, 0
        counter: Iterable[int] = range(1, steps + 1)
        for taken in progress(counter) if progress else counter:
            state, info = solver.step(energy, state)
            if info.accepted is not None:
                accepted.append(info.accepted)
            if record and taken % record == 0:
                trajectory.append((rows.whole(state[0]) if rows else state[0]).clone())
            if unroll:
                continue
            if taken % solver.look_every == 0 or taken == steps:
                _check_finite(info.energy, solver, taken, rows)
                if info.residual is not None:
                    done = info.residual <= tol
                    if bool(done.all()):
                        break
                    if rows is not None and taken < steps and 2 * int(done.sum()) >= len(done):
                        state, energy = rows.drop(done, info.residual, state, energy, solver.energies(state))
            if deadline is not None and time.monotonic() > deadline:
                break
        residual = None if info is None else info.residual
        value, energies = state[0], solver.energies(state)
        if rows is not None:
            value, residual, energies = rows.finish(state, residual, energies)
        found: dict[str, Any] = dict(solver.certificate(whole, value))
        energies = found.pop("energy", energies)
        if energies is None or not bool(energies.isfinite().all()):
            energies = whole.value(value)
    _check_finite(energies, solver, taken, None)
    if residual is not None:
        found["residual"] = residual
    if accepted:
        found["acceptance"] = torch.stack(accepted).to(energies.dtype).mean()
    if trajectory:
        found["trajectory"] = torch.stack(trajectory)
    converged = torch.zeros(batch, dtype=torch.bool, device=value.device) if residual is None else residual <= tol
    return Solution(value, energies, converged, taken, found, state)


class _Rows:
    """Which samples are still running, and what those that have stopped ended with."""

    def __init__(self, value: Tensor) -> None:
        self.index = torch.arange(len(value), device=value.device)
        self.value = value.clone()
        self.residual: Tensor | None = None
        self.energies: Tensor | None = None
        self.count = len(value)

    def whole(self, running: Tensor) -> Tensor:
        if len(running) == self.count:
            return running
        full = self.value.clone()
        full[self.index] = running
        return full

    def drop(
        self, done: Tensor, residual: Tensor, state: Any, energy: Energy, energies: Tensor | None
    ) -> tuple[Any, Energy]:
        if self.residual is None:
            self.residual = residual.new_full((self.count,), torch.inf)
            self.energies = None if energies is None else energies.new_full((self.count,), torch.inf)
        stopped = self.index[done]
        self.value[stopped] = state[0][done]
        self.residual[stopped] = residual[done]
        if self.energies is not None and energies is not None:
            self.energies[stopped] = energies[done]
        kept = (~done).nonzero().squeeze(-1)
        self.index = self.index[kept]
        return tree_map(lambda part: part[kept] if isinstance(part, Tensor) else part, state), energy.select(kept)

    def finish(
        self, state: Any, residual: Tensor | None, energies: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if self.residual is None:
            return state[0], residual, energies
        self.value[self.index] = state[0]
        if residual is not None and len(residual) == len(self.index):
            self.residual[self.index] = residual
        if self.energies is None or energies is None:
            return self.value, self.residual, None
        self.energies[self.index] = energies
        return self.value, self.residual, self.energies


def _check_finite(energies: Tensor, solver: Solver, step: int, rows: _Rows | None) -> None:
    finite = torch.isfinite(energies)
    if bool(finite.all()):
        return
    wrong = (~finite).nonzero()
    first = [int(i) for i in wrong[0]]
    if rows is not None:
        first = [int(rows.index[first[0]])]
    raise DivergenceError(
        f"{type(solver).__name__}: the energy is {energies[~finite][0].item()} at step {step} "
        f"for {len(wrong)} of {energies.numel()} samples, the first at index {tuple(first)}: "
        "lower the rate, or start where the energy is finite."
    )
