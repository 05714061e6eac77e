"""How to differentiate a solution; no solver knows about it.

    z*(θ) = argmin_z E(z, θ)
    envelope   dF/dθ = ∂E/∂θ at z*; z* itself is held fixed
    unroll     backwards through every step that led to z*
    implicit   dz*/dθ = −(∂²E/∂z²)⁻¹ ∂²E/∂z∂θ, on the entries of z that are free to move

Sources: Danskin (1967) for the envelope; Krantz & Parks, The Implicit Function Theorem (2003); Bertrand et al.,
Implicit Differentiation for Fast Hyperparameter Selection in Non-smooth Convex Learning, JMLR 23 (2022), for kinks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import StructureError
from .choose import default_solver
from .solver import Solver, solve


def minimiser(
    energy: Energy,
    solver: Solver | None,
    differentiate: str,
    options: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
) -> Tensor:
    """The value of an energy's one variable where it is lowest, with the gradients asked for.

    Args:
        energy: An energy of one variable.
        solver: How to look; by default what `default_solver` says.
        differentiate: "envelope", "unroll" or "implicit".
        options: For `solve`.
        known: What the energy was given, for a solver that begins at an encoder's guess (`Amortised`).

    Raises:
        StructureError: If nothing but a sampler fits, which finds no lowest point, and none was asked for.
    """
    if solver is None and (solver := default_solver(energy)).samples:
        raise StructureError(
            f"minimize: {energy.variable} in {energy.space!r} has too many values to list, and {type(solver).__name__} would draw "
            "samples, not look for the lowest: give a solver, or use infer to draw one."
        )
    unroll, options = differentiate == "unroll", dict(options)
    if options.get("init") is None:
        with torch.set_grad_enabled(unroll):
            options["init"] = solver.start(energy, known or {}, options.get("generator"))
    z = solve(solver, energy, unroll=unroll, **options).value
    return implicit(energy, z) if differentiate == "implicit" and torch.is_grad_enabled() else z


def implicit(energy: Energy, z: Tensor, tol: float = 1e-6, steps: int = 200) -> Tensor:
    """``z``, with the gradient of the argmin with respect to everything the energy depends on.

    The linear system is solved by conjugate gradients, one for each sample, so the curvature must be positive on the
    free entries: those not held by a kink (exactly 0 under an L1 term) or by the edge of the space.

    Args:
        energy: An energy of one variable.
        z: Where it is lowest, ``(*B, *event)``.
        tol: Relative residual at which conjugate gradients stop.
        steps: At most so many of them.
    """
    z = z.detach()
    point = z.clone().requires_grad_()
    with torch.enable_grad():
        slope = torch.autograd.grad(energy.value(point).sum(), point, create_graph=True)[0]
    free = _free(energy, z)
    # the same slope with z cut off: its only way back is to the parameters
    return _Implicit.apply(slope, z, point, slope, free, tol, steps)


def _free(energy: Energy, z: Tensor) -> Tensor:
    """Entries that a small step downhill can move."""
    with torch.no_grad():
        smooth, kink = energy.composite()
        slope = smooth.value_and_gradient(z)[1]
        moved = z - slope
        if kink is not None:
            moved = kink.prox(moved, 1.0)
        held = (energy.space.project(moved) == z) & (slope != 0)
    return ~held


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, z: Tensor, point: Tensor, graph: Tensor, free: Tensor, tol: float, steps: int
    ) -> Tensor:
        ctx.system = (point, graph, free, tol, steps)
        return z.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        point, graph, free, tol, steps = ctx.system
        axes = tuple(range(1, point.ndim)) if point.ndim > 1 else ()

        def dot(a: Tensor, b: Tensor) -> Tensor:
            product = a * b
            return product.sum(axes, keepdim=True) if axes else product

        def curvature(v: Tensor) -> Tensor:
            return free * torch.autograd.grad(graph, point, v, retain_graph=True, materialize_grads=True)[0]

        with torch.enable_grad():
            target = free * grads[0]
            u = torch.zeros_like(target)
            residual = target.clone()
            way = residual.clone()
            size = dot(residual, residual)
            goal = tol**2 * size
            for _ in range(steps):
                if bool((size <= goal).all()):
                    break
                bent = curvature(way)
                length = size / dot(way, bent).clamp_min(torch.finfo(size.dtype).tiny)
                length = torch.where(size > goal, length, torch.zeros_like(length))
                u = u + length * way
                residual = residual - length * bent
                new = dot(residual, residual)
                way = (
                    residual
                    + torch.where(
                        size > goal, new / size.clamp_min(torch.finfo(size.dtype).tiny), torch.zeros_like(size)
                    )
                    * way
                )
                size = new
        return -u.detach(), None, None, None, None, None, None
