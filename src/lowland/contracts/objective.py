"""What every objective promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import (
    L1,
    Autoregressive,
    Energy,
    LatentBits,
    LatentForecast,
    LinearReconstruction,
    Network,
    NetworkTable,
    Prediction,
    QuantisedReconstruction,
    Reconstruction,
)
from ..errors import VariableError
from ..objectives import Loss, Objective
from ..spaces import Binary, Real
from .failure import ContractError, refuses, require


def check_objective(objective: Objective, energy: Energy | None = None, batch: Mapping[str, Any] | None = None) -> None:
    """Hold an objective to its contract, on a small problem of the kind it says it is `tried_on` or on one of your own.

    A finite scalar and named, detached parts; gradients for the parameters; following them lowers it; the same batch, memory and
    random numbers give the same loss; a batch that lacks a variable is refused; what stops the energy from going flat is said.

    Raises:
        ContractError: For the first promise that is broken.
    """
    who = type(objective).__name__
    if energy is None or batch is None:
        energy, batch = _problem(objective.tried_on)
    require(bool(objective.no_collapse), who, "says what stops the energy from going flat (no_collapse)")
    remembered = objective.state_dict()
    loss = _looked_at(objective, energy, batch)
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
    objective.load_state_dict(remembered)
    again = _looked_at(objective, energy, batch).value
    require(
        bool(again == loss.value), who, f"from the same memory and random numbers the same loss, got {again.item()}"
    )
    length = torch.stack([slope.norm() for slope in slopes if slope is not None]).norm()
    with torch.no_grad():
        for parameter, slope in zip(parameters, slopes, strict=True):
            if slope is not None:
                parameter -= 1e-3 * slope / length
    objective.load_state_dict(remembered)
    lower = _looked_at(objective, energy, batch).value
    with torch.no_grad():
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


def _looked_at(objective: Objective, energy: Energy, batch: Mapping[str, Any]) -> Loss:
    """The loss with the same random numbers each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return objective(energy, batch)


class _Distance(Energy):
    """½‖f(x) − f(y)‖²."""

    def __init__(self) -> None:
        super().__init__(x=Real(4), y=Real(4))
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (self.encoder(x) - self.encoder(y)).square().sum(-1)


def _problem(kind: str) -> tuple[Energy, dict[str, Tensor]]:
    """An energy with parameters, and a batch of 32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 4, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "labels":
            return NetworkTable(nn.Linear(4, 3), Real(4), 3), {"x": x, "y": (x[:, 0] > 0).long() + (x[:, 1] > 0).long()}
        if kind == "pairs":
            y, other = (torch.randn(32, 4, generator=generator) for _ in range(2))
            return _Distance(), {"x": x, "y": x + 0.1 * y, "other": other, "same": x[:, 0] > 0}
        if kind == "restored":
            return Reconstruction(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)), Real(4), Real(4)), {
                "y": x
            }
        network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        if kind == "latent":
            return LatentBits.example(), {"x": (x > 0.3).float().reshape(32, 2, 2)}
        if kind == "forecast":
            y = x[:, :2, None] + torch.randn(32, 2, 3, generator=generator).cumsum(2)
            return LatentForecast.example(), {"s": x[:, :2], "a": torch.zeros(32, 3, 2), "y": y.mT}
        if kind == "codes":
            return QuantisedReconstruction.example(), {"x": x}
        if kind == "sequences":
            return Autoregressive.example(), {"x": x, "y": (x > 0).long()}
        if kind == "sparse":
            decoder, encoder = LinearReconstruction(4, 6), nn.Sequential(nn.Linear(4, 6), nn.Tanh())
            return decoder + L1(Real(6), 0.1) + Prediction(encoder, Real(4), Real(6)), {"y": x}
        if kind == "real":
            return Network(network, x=Real(4)), {"x": x}
        if kind == "bits":
            return Network(network, x=Binary(4)), {"x": (x > 0.3).float()}
    raise ContractError(
        'wanted an objective tried on "labels", "real", "bits", "pairs", "restored", "sparse", "sequences", "latent", "forecast" or '
        f'"codes", got {kind!r}.'
    )
