"""What the library itself costs: a call of an energy whose batch shapes agree, and a step of a solver.

On one thread, in processor time: what other programs do meanwhile does not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowland.energy import Energy, LinearReconstruction
from lowland.inference import FISTA, HMC, GradientDescent, Langevin, Solver, solve
from lowland.spaces import Real

from .timing import seconds

ROUNDS, CALLS = 30, 200


class Bowl(Energy):
    """½‖x‖², written for one batch dimension, with its slope in closed form: as little work as an energy can be."""

    def __init__(self) -> None:
        super().__init__(x=Real(3))

    def energies(self, x: Tensor) -> Tensor:
        return 0.5 * x.square().sum(-1)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        return 0.5 * value.square().sum(-1), value


def run() -> list[dict[str, Any]]:
    """A line for each: microseconds beyond what the energy's own function takes."""
    torch.set_num_threads(1)
    bowl, decoder = Bowl(), LinearReconstruction(6, 4)
    x, y, z = torch.randn(8, 3), torch.randn(8, 6), torch.randn(8, 4)
    with torch.no_grad():
        lines = [
            _line("a call of an energy of one variable", lambda: bowl(x=x), lambda: bowl.energies(x=x), 10),
            _line(
                "a call of an energy of two variables",
                lambda: decoder(y=y, z=z),
                lambda: decoder.energies(y=y, z=z),
                10,
            ),
        ]
    given = decoder.given(y=y)
    # What a step can't do without: the energy's value and slope, and the update itself.
    lines += [
        _step("gradient descent", GradientDescent(0.1), bowl, x, 1, lambda: x.sub(x, alpha=0.1)),
        _step("Langevin", Langevin(0.1), bowl, x, 1, lambda: x.sub(x, alpha=0.1).add_(torch.randn(x.shape), alpha=0.4)),
        _step("HMC (5 leapfrog steps)", HMC(0.1, 5), bowl, x, 5, _leapfrog(x, 5)),
        _step("FISTA", FISTA(), given, z, 1, lambda: _accelerated(z)),
    ]
    return lines


def _accelerated(z: Tensor) -> Tensor:
    """A step downhill, the test whether to restart, and the momentum."""
    new = z.sub(z, alpha=0.1)
    uphill = ((z - new) * (new - z)).sum(-1) > 0
    momentum = torch.where(uphill, 0.0, 0.5)
    return new + momentum.unsqueeze(-1) * (new - z)


def _leapfrog(x: Tensor, count: int) -> Callable[[], Any]:
    """The sums of a proposal and its test, without the slopes."""

    def sums() -> Tensor:
        momentum, point = torch.randn(x.shape), x
        before = 0.5 * momentum.square().sum(-1)
        momentum = momentum - 0.05 * x
        for _ in range(count):
            point = torch.add(point, momentum, alpha=0.1)
            momentum = torch.add(momentum, x, alpha=-0.1)
        log_ratio = before - 0.5 * momentum.square().sum(-1)
        taken = torch.rand(len(x)).log() < log_ratio
        here = taken.unsqueeze(-1)
        torch.where(taken, log_ratio, before)
        torch.where(here, point, x)
        return torch.where(here, momentum, x)

    return sums


def _step(
    name: str, solver: Solver, energy: Energy, start: Tensor, slopes: int, update: Callable[[], Any]
) -> dict[str, Any]:
    steps = 200
    with torch.no_grad():
        own = slopes * _microseconds(lambda: energy.value_and_gradient(start)) + _microseconds(update)
    whole = min(_once(lambda: solve(solver, energy, start, steps=steps, tol=-1.0)) for _ in range(ROUNDS)) / steps
    return _entry(
        f"a step of {name}", whole, own, 30, "beyond the energy's value and slope and the bare update; a batch of 8"
    )


def _line(name: str, call: Callable[[], Any], own: Callable[[], Any], target: float) -> dict[str, Any]:
    return _entry(
        name, _microseconds(call), _microseconds(own), target, "beyond `energies`; a batch of 8, shapes agree"
    )


def _entry(name: str, whole: float, own: float, target: float, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": f"{whole:.1f} µs",
        "peer": f"bare {own:.1f} µs",
        "value": f"{whole - own:.1f} µs more",
        "ratio": None,
        "target": f"≤ {target} µs more",
        "met": whole - own <= target,
        "note": note,
    }


def _microseconds(call: Callable[[], Any]) -> float:
    """Of one call: the best of several rounds, so that a busy machine disturbs least."""
    call()

    def many() -> None:
        for _ in range(CALLS):
            call()

    return min(_once(many) for _ in range(ROUNDS)) / CALLS


def _once(call: Callable[[], Any]) -> float:
    began = seconds()
    call()
    return 1e6 * (seconds() - began)


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
