"""What every energy promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy, FreeEnergy, Min
from ..errors import SpaceError, VariableError
from ..spaces import Space
from .failure import ContractError, close, refuses, require

#: Tables up to this size are compared with one call for each value.
_SMALL = 4096


def check_energy(energy: Energy, values: Mapping[str, Any] | None = None) -> None:
    """Hold an energy to its contract, at the given values or at random ones.

    One number for each sample; a batch is its rows; batch shapes broadcast; `given` and `table` change nothing but the work;
    slopes agree with finite differences, proximal steps with their definition, quadratic forms with the energy; names and shapes
    that don't fit are refused; nothing of the caller's is touched.

    Args:
        energy: The energy; its parameters are restored afterwards.
        values: ``{variable: (N, *event)}`` with N ≥ 3; by default what the energy offers, or random points of its spaces.

    Raises:
        ContractError: For the first promise that is broken.
    """
    who = type(energy).__name__
    generator = torch.Generator().manual_seed(0)
    if values is None:
        values = energy.example_values(5, generator)
    values = {name: _double(value) for name, value in values.items()}
    before = {name: value.clone() for name, value in values.items() if isinstance(value, Tensor)}
    dtype = torch.get_default_dtype() if energy.reference is None else energy.reference.dtype
    energy.double()
    try:
        _check_calls(energy, values, who)
        for name, space in energy.spaces.items():
            if space.kind == "float" and not space.finite:
                _check_slope(energy, name, values, who, generator)
            if space.size is not None and space.size <= _SMALL:
                _check_table(energy, name, space, values, who)
    finally:
        energy.to(dtype)
    for name, value in before.items():
        require(bool((values[name] == value).all()), who, f"leaves the caller's {name} as it was")
    require(
        all(parameter.grad is None for parameter in energy.parameters()), who, "leaves .grad of its parameters alone"
    )


def _check_calls(energy: Energy, values: dict[str, Any], who: str) -> None:
    count = next((len(value) for value in values.values()), 0)
    with torch.no_grad():
        energies = energy(**values)
        require(
            energies.shape == (count,) or not values,
            who,
            f"one number for each sample, wanted ({count},), got {tuple(energies.shape)}",
        )
        allowed = ~energies.isnan() & ((energies != -torch.inf) if energy.hard else energies.isfinite())
        require(
            bool(allowed.all()), who, "finite energies at points of its spaces (or +∞, of an energy that is `hard`)"
        )
        tensors = all(isinstance(value, Tensor) for value in values.values())
        if tensors and values and not energy.batch_shape:
            rows = torch.stack([energy(**{name: value[i] for name, value in values.items()}) for i in range(count)])
            close(rows, energies, who, "the energy of a batch is the energies of its rows, one at a time", 1e-8)
            grid = energy(**{name: value.unsqueeze(i % 2) for i, (name, value) in enumerate(values.items())})
            if len(values) > 1:
                require(
                    grid.shape == (count, count),
                    who,
                    f"batch shapes broadcast, wanted ({count}, {count}), got {tuple(grid.shape)}",
                )
                close(grid.diagonal(), energies, who, "broadcasting changes no energy", 1e-8)
        for name in values:
            rest = {other: value for other, value in values.items() if other != name}
            conditioned = energy.given(**rest) if rest else energy
            require(list(conditioned.spaces) == [name], who, f"given everything but {name}, {name} is what is left")
            close(
                conditioned(**{name: values[name]}), energies, who, f"given {', '.join(rest)} changes no energy", 1e-8
            )
            if rest and tensors and len(conditioned.batch_shape) == 1:
                rows = torch.tensor([2, 0])
                part = conditioned.select(rows)(**{name: values[name][rows]})
                close(part, energies[rows], who, "selected rows keep their energies", 1e-8)
    refuses(
        VariableError,
        lambda: energy(**values, ghost=torch.zeros(count)),
        who,
        "refuses a name it does not have",
        "ghost",
    )
    refuses(
        VariableError,
        lambda: energy.given(ghost=torch.zeros(count)),
        who,
        "refuses to be given a name it does not have",
        "ghost",
    )
    for name, value in values.items():
        refuses(
            VariableError,
            lambda name=name: energy(**{n: v for n, v in values.items() if n != name}),
            who,
            "says what is missing",
            name,
        )
        told_apart = energy.spaces[name].shape not in ((), (1,))  # else a dimension more is only another batch
        if isinstance(value, Tensor) and told_apart:
            refuses(
                SpaceError,
                lambda n=name, v=value: energy(**{**values, n: v.unsqueeze(-1)}),
                who,
                "refuses a wrong shape, by name",
                name,
            )


def _check_slope(energy: Energy, name: str, values: dict[str, Any], who: str, generator: torch.Generator) -> None:
    rest = {other: value for other, value in values.items() if other != name}
    conditioned = energy.given(**rest) if rest else energy
    point = values[name]
    if not conditioned.smooth:
        _check_prox(conditioned, point, who, generator)
        return
    energies, slope = _without_graph(conditioned, point)
    with torch.no_grad():
        close(energies, conditioned.value(point), who, f"the value beside the slope in {name} is the energy", 1e-8)
        way = torch.randn(point.shape, generator=generator, dtype=point.dtype)
        small = 1e-5
        rise = (conditioned.value(point + small * way) - conditioned.value(point - small * way)) / (2 * small)
    require(bool(slope.isfinite().all()), who, f"finite slopes in {name}")
    along = (slope * way).flatten(1).sum(1) if point.ndim > 1 else slope * way
    allowed = energies.isfinite()
    close(along[allowed], rise[allowed], who, f"the slope in {name} agrees with finite differences", 1e-4)
    close(energy.gradient(name, **values), slope, who, f"gradient({name!r}) is that slope", 1e-8)
    form = conditioned.quadratic_form()
    if form is not None:
        flat = point.reshape(len(point), -1)
        bent = (
            0.5 * ((flat.unsqueeze(-2) @ form.gram).squeeze(-2) * flat).sum(-1)
            - (form.linear * flat).sum(-1)
            + form.constant
        )
        close(bent, energies, who, f"the quadratic form in {name} is the energy", 1e-8)


def _without_graph(energy: Energy, point: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        energies, slope = energy.value_and_gradient(point)
    require(
        slope.shape == point.shape,
        type(energy).__name__,
        f"a slope has the shape of its variable, got {tuple(slope.shape)}",
    )
    require(
        not slope.requires_grad and not energies.requires_grad,
        type(energy).__name__,
        "without gradients enabled, no graph is kept",
    )
    return energies, slope


def _check_prox(energy: Energy, point: Tensor, who: str, generator: torch.Generator) -> None:
    smooth, kink = energy.composite()
    if kink is None:
        raise ContractError(f"{who}: an energy with a kink offers it in composite().")
    with torch.no_grad():
        close(
            smooth.value(point) + kink.value(point), energy.value(point), who, "the parts of composite() add up", 1e-8
        )
        step = 0.7
        best = kink.prox(point, step)

        def cost(u: Tensor) -> Tensor:
            return 0.5 * (u - point).square().flatten(1).sum(1) + step * kink.value(u)

        for size in (1e-3, 0.1, 1.0):
            other = best + size * torch.randn(point.shape, generator=generator, dtype=point.dtype)
            require(bool((cost(best) <= cost(other) + 1e-12).all()), who, "no point near the proximal step does better")


def _check_table(energy: Energy, name: str, space: Space, values: dict[str, Any], who: str) -> None:
    rest = {other: value for other, value in values.items() if other != name}
    with torch.no_grad():
        table = energy.table(name, **rest)
        count = len(next(iter(values.values())))
        if rest:
            require(
                table.shape == (count, space.size),
                who,
                f"a table of {name} has a row for each sample, got {tuple(table.shape)}",
            )
        for index, value in enumerate(_double(space.enumerate())):
            column = energy(**rest, **{name: value.expand(count, *space.shape)})
            close(
                table[..., index].expand(count),
                column,
                who,
                f"the table of {name} holds the energy of each value",
                1e-7,
            )
        conditioned = energy.given(**rest) if rest else energy
        close(conditioned.table(name), table, who, f"given the rest, the table of {name} is the same", 1e-8)
        lowest, free = Min()(table), FreeEnergy(2.0)(table)
        close(energy.minimize(name)(**rest), lowest, who, f"minimising {name} out is the lowest of its table", 1e-8)
        close(
            energy.marginalize(name, 2.0)(**rest),
            free,
            who,
            f"marginalising {name} out is the free energy of its table",
            1e-8,
        )


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
