"""One call for every unknown: `infer(energy, "z", y=y)`.

Fix what is known, and the kind of the unknown says how to look: a finite variable is looked up in its table, anything
else is searched by the solver that fits its space and the energy's structure.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..energy import Energy, FreeEnergy, KBest, Min, Partial, Reduction, Relaxation, Sample, Structure
from ..errors import VariableError
from .choose import default_solver
from .solver import Solution, Solver, solve


def infer(
    energy: Energy,
    unknown: str,
    *,
    solver: Solver | None = None,
    reduction: Reduction | None = None,
    init: Tensor | None = None,
    options: dict[str, Any] | None = None,
    **known: Any,
) -> Solution:
    """The value of one variable at which the energy is low, the others being known.

    Args:
        energy: The energy.
        unknown: The variable to look for; it may be given as a `Partial`, known in places.
        solver: How to look, for a variable that is not finite; see `default_solver`.
        reduction: For a finite variable or a path: `Min` (default), ``KBest(k)`` (values ``(*B, k, *event)``) or
            ``Sample(β)`` (a draw). For an image of labels: `Min` or ``FreeEnergy(β)``, the most likely label of each pixel.
        init: Where to begin a search; where the energy guesses or the solver prefers, if left out.
        options: For `solve`: ``steps``, ``tol``, ``generator``, ``progress``, …
        **known: The other variables, ``(*B, *event)`` each.

    Raises:
        VariableError: If a variable is neither known nor the unknown.
        SpaceError: If a known value lies outside its space.
        StructureError: If no solver fits.
    """
    energy.known({unknown, *known})
    for name, value in known.items():
        if not isinstance(value, Partial):
            energy.spaces[name].check(value, name)
    conditioned = energy.given(**known) if known else energy
    left = [name for name in conditioned.spaces if name != unknown]
    if left:
        raise VariableError(
            f"infer: {', '.join(left)} is neither known nor asked for: give it, or eliminate it first "
            f'(energy.minimize("{left[0]}") or energy.marginalize("{left[0]}")).'
        )
    space = conditioned.space
    if solver is None and space.size is not None and not isinstance(known.get(unknown), Partial):
        return _look_up(conditioned, unknown, reduction or Min())
    if solver is None and (found := conditioned.structure(unknown)) is not None:
        return _read_off(conditioned, *found, reduction)
    solver = solver or default_solver(conditioned)
    options = dict(options or {})
    if (relaxed := solver.relax(conditioned, reduction or Min())) is not None:
        return _relaxed(conditioned, relaxed, solver, init, options)
    if init is None:
        with torch.no_grad():
            init = conditioned.guess(unknown)
            if init is None:
                init = solver.start(conditioned, known, options.get("generator"))
    return solve(solver, conditioned, init, **options)


def _look_up(energy: Energy, name: str, reduction: Reduction) -> Solution:
    with torch.no_grad():
        table = energy.table(name)
    answer = reduction.answer(table)
    index = answer.argmax(-1)
    picked = table.unsqueeze(-2).expand(*answer.shape) if answer.ndim > table.ndim else table
    energies = picked.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    value = energy.spaces[name].enumerate(table.device)[index]
    exact = torch.full(index.shape, isinstance(reduction, Min), device=table.device)
    return Solution(value, energies, exact, 1, {"table": table, "answer": answer})


def _read_off(energy: Energy, structure: Structure, batch: torch.Size, reduction: Reduction | None) -> Solution:
    """The answer of a recursion: a path, or the string that it spells."""
    reduction = reduction or structure.bound or Min()
    value, energies = (part.unflatten(0, batch) for part in structure.read(reduction))
    if isinstance(reduction, Sample):  # what is reduced is the free energy, not the energy of the draw
        with torch.no_grad():
            energies = energy.value(value)
    exact = torch.full(energies.shape, isinstance(reduction, (Min, KBest)), device=energies.device)
    return Solution(value, energies, exact & energies.isfinite(), 1, {})


def _relaxed(
    energy: Energy, relaxed: Relaxation, solver: Solver, init: Tensor | None, options: dict[str, Any]
) -> Solution:
    """The labels that beliefs speak for; how much they do is ``info["answer"]``, and ``info["free_energy"]`` an approximation."""
    found = solve(solver, relaxed, init, **options)
    with torch.no_grad():
        value, answer = relaxed.labels(found.value), relaxed.beliefs(found.value)
        energies = energy.value(value)
    info = {**found.info, "free_energy": found.energy, "answer": answer}
    return Solution(value, energies, found.converged, found.steps, info)


def posterior(energy: Energy, name: str, beta: float = 1.0, **known: Any) -> Tensor:
    """p(name | known) ∝ exp(−β E): the gradient of the free energy, ``(*B, K)`` over a finite variable.

    Over paths it is the probability that the path takes each arc, in the shape of the arcs' energies.

    Raises:
        StructureError: If the variable is neither finite nor a path.
    """
    conditioned = energy.given(**known) if known else energy
    if conditioned.spaces[name].size is None and (found := conditioned.structure(name)) is not None:
        return found[0].share(FreeEnergy(beta))[1].unflatten(0, found[1])
    with torch.no_grad():
        table = conditioned.table(name)
    return FreeEnergy(beta).answer(table)
