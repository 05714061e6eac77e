"""What every objective promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import Energy, NetworkTable
from ..errors import VariableError
from ..objectives import Objective
from ..spaces import Real
from .failure import refuses, require


def check_objective(objective: Objective, energy: Energy | None = None, batch: Mapping[str, Any] | None = None) -> None:
    """Hold an objective to its contract, on a small classifier or on an energy and a batch of your own.

    A finite scalar and named, detached parts; gradients for the parameters; following them lowers it; the same batch gives the
    same loss; a batch that lacks a variable is refused; what stops the energy from going flat is said.

    Raises:
        ContractError: For the first promise that is broken.
    """
    who = type(objective).__name__
    if energy is None or batch is None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(32, 4, generator=generator)
        batch = {"x": x, "y": (x[:, 0] > 0).long() + (x[:, 1] > 0).long()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            energy = NetworkTable(nn.Linear(4, 3), Real(4), 3)
    require(bool(objective.no_collapse), who, "says what stops the energy from going flat (no_collapse)")
    loss = objective(energy, batch)
    require(loss.value.shape == () and bool(torch.isfinite(loss.value)), who, f"a finite scalar, got {loss.value}")
    require(bool(loss.parts), who, "has parts for the log")
    for name, part in loss.parts.items():
        require(
            isinstance(part, Tensor) and part.shape == () and not part.requires_grad,
            who,
            f"parts are detached scalars, but {name} is {part}",
        )
    parameters = [parameter for parameter in energy.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(loss.value, parameters, allow_unused=True)
    require(
        any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes), who, "has a slope in the parameters"
    )
    require(all(parameter.grad is None for parameter in parameters), who, "leaves .grad alone")
    length = torch.stack([slope.norm() for slope in slopes if slope is not None]).norm()
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes, strict=True):
            if slope is not None:
                parameter -= 1e-3 * slope / length
        lower = objective(energy, batch).value
        for parameter, slope in zip(parameters, slopes, strict=True):
            if slope is not None:
                parameter += 1e-3 * slope / length
    require(
        bool(lower < loss.value),
        who,
        f"a small step down its slope lowers it, got {loss.value.item():.6g} → {lower.item():.6g}",
    )
    name = next(iter(batch))
    rest = {other: value for other, value in batch.items() if other != name}
    refuses(VariableError, lambda: objective(energy, rest), who, "refuses a batch that lacks a variable", name)
