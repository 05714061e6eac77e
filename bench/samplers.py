"""Sampling: Langevin and Hamiltonian Monte Carlo over a small network's energy, beside torchebm and ebmkit.

The value beside the time is the mean energy where the chains end: samplers that do the same thing agree on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from .timing import interleaved

CHAINS, RATE, LANGEVIN_STEPS = 1000, 0.01, 200
LEAPFROG, LEAPFROG_RATE, HMC_STEPS = 10, 0.1, 50
REPEATS = 7
#: (sampler, peer, compiled) → how many times faster ours has to be.
TARGETS = {("Langevin", "torchebm", True): 1.5, ("Langevin", "torchebm", False): 1.0, ("HMC", "ebmkit", True): 1.2}

Sampler = Callable[[Tensor], Tensor]


def run() -> list[dict[str, Any]]:
    """A line for each sampler, peer and mode; ``ratio`` is the peer's time over ours."""
    network = landscape()
    start = torch.randn(CHAINS, 2, generator=torch.Generator().manual_seed(0))
    contenders = {**ours(network), **_torchebm(network), **_ebmkit(network)}
    times, ends = interleaved({name: partial(sampler, start) for name, sampler in contenders.items()}, REPEATS)
    with torch.no_grad():
        energies = {name: network(x).mean().item() for name, x in ends.items()}
    lines = []
    for (sampler, peer), seconds in times.items():
        if peer.startswith("lowland"):
            continue
        for compiled in (False, True):
            mine = times[sampler, "lowland compiled" if compiled else "lowland"]
            target = TARGETS.get((sampler, peer, compiled))
            size = f"{LANGEVIN_STEPS} steps" if sampler == "Langevin" else f"{HMC_STEPS} × {LEAPFROG} leapfrog steps"
            lines.append(
                {
                    "name": f"{sampler}, network 2-128-128-1, {CHAINS:,} chains, {size}"
                    + (", compiled" if compiled else ""),
                    "ours": f"{1e3 * mine:.0f} ms",
                    "peer": f"{peer} {1e3 * seconds:.0f} ms",
                    "value": f"mean energy {energies[sampler, 'lowland']:.3f} and {energies[sampler, peer]:.3f}",
                    "ratio": seconds / mine,
                    "target": None if target is None else f"≥ {target}",
                    "met": None if target is None else seconds / mine >= target,
                    "note": "compiling takes some seconds, once, and is not counted" if compiled else "",
                }
            )
    return lines


def landscape() -> nn.Module:
    """A network whose exp(−E) can be normalised: hills and dells in a bowl."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 1))


def ours(network: nn.Module) -> dict[tuple[str, str], Sampler]:
    """`lowland.inference.solve`, as it is and with its slope compiled."""
    from lowland.energy import Network
    from lowland.inference import HMC, Langevin, solve
    from lowland.spaces import Real

    energy = Network(network, x=Real(2))
    found: dict[tuple[str, str], Sampler] = {}
    for name, compile in (("lowland", False), ("lowland compiled", True)):
        found["Langevin", name] = lambda x, compile=compile: (
            solve(Langevin(RATE), energy, x, steps=LANGEVIN_STEPS, compile=compile).value
        )
        found["HMC", name] = lambda x, compile=compile: (
            solve(HMC(LEAPFROG_RATE, LEAPFROG), energy, x, steps=HMC_STEPS, compile=compile).value
        )
    return found


def _torchebm(network: nn.Module) -> dict[tuple[str, str], Sampler]:
    if not find_spec("torchebm"):
        return {}
    from torchebm.core import BaseModel
    from torchebm.samplers import HamiltonianMonteCarlo, LangevinDynamics

    class Model(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x).squeeze(-1)

    langevin = LangevinDynamics(Model(), step_size=RATE)
    hmc = HamiltonianMonteCarlo(Model(), step_size=LEAPFROG_RATE, n_leapfrog_steps=LEAPFROG)
    return {
        ("Langevin", "torchebm"): lambda x: langevin.sample(x=x.clone(), n_steps=LANGEVIN_STEPS),
        ("HMC", "torchebm"): lambda x: hmc.sample(x=x.clone(), n_steps=HMC_STEPS),
    }


def _ebmkit(network: nn.Module) -> dict[tuple[str, str], Sampler]:
    if not find_spec("ebm"):
        return {}
    import ebm

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x).squeeze(-1)

    model = Model()
    langevin = ebm.LangevinDynamics(step_size=RATE, steps=LANGEVIN_STEPS)
    hmc = ebm.HMC(step_size=LEAPFROG_RATE, leapfrog_steps=LEAPFROG, steps=HMC_STEPS)
    return {
        ("Langevin", "ebmkit"): lambda x: langevin.sample(model, x.clone()),
        ("HMC", "ebmkit"): lambda x: hmc.sample(model, x.clone()),
    }


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
