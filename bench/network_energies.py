"""Training network energies of two numbers: contrastive divergence beside torchebm and ebmkit, score matching beside a loop by hand.

A turn is so many whole steps of training: chains, loss, gradients, Adam. The value beside the time is how unlikely unseen points are to
the energy that comes out, in nats, with the integral of exp(−E) over a fine grid: who trains alike agrees on it.
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

BATCH, HIDDEN, STEPS, REPEATS = 256, 128, 60, 5
LANGEVIN_STEPS, LANGEVIN_RATE, REGULARIZATION = 10, 0.01, 0.01
SIGMA, RATE = 0.2, 1e-3
#: (objective, peer) → how many times faster ours has to be.
TARGETS = {("CD-10", "ebmkit"): 1.2, ("CD-10", "torchebm"): 1.0, ("denoising score matching", "by hand"): 1 / 1.1}

Loss = Callable[[Tensor], Tensor]


def run() -> list[dict[str, Any]]:
    """A line for each objective and peer; ``ratio`` is the peer's time over ours."""
    contenders = {
        (objective, who): partial(trained, make)
        for objective, everybody in {"CD-10": contrastive(), "denoising score matching": denoising()}.items()
        for who, make in everybody.items()
    }
    times, networks = interleaved(contenders, REPEATS)
    unlikely = {key: unlikeliness(network) for key, network in networks.items()}
    lines = []
    for (objective, peer), seconds in times.items():
        if peer == "lowland":
            continue
        mine, target = times[objective, "lowland"], TARGETS.get((objective, peer))
        lines.append(
            {
                "name": f"A step of {objective}, network 2-{HIDDEN}-{HIDDEN}-1, batches of {BATCH}",
                "ours": f"{1e3 * mine / STEPS:.2f} ms",
                "peer": f"{peer} {1e3 * seconds / STEPS:.2f} ms",
                "value": f"−log p of unseen points {unlikely[objective, 'lowland']:.2f} and {unlikely[objective, peer]:.2f} nats",
                "ratio": seconds / mine,
                "target": None if target is None else f"≥ {target:.2g}",
                "met": None if target is None else seconds / mine >= target,
                "note": f"after {STEPS} steps",
            }
        )
    return lines


def network() -> nn.Module:
    """The same one for everybody."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 1))


def points(count: int, seed: int) -> Tensor:
    """A noisy ring of radius 2, ``(N, 2)``."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(count, generator=generator)
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.2 * torch.randn(count, 2, generator=generator)


def trained(make: Callable[[nn.Module], Loss]) -> nn.Module:
    """A network after so many steps of Adam."""
    net, x = network(), points(BATCH * STEPS, 0)
    loss, optimizer = make(net), torch.optim.Adam(net.parameters(), lr=RATE)
    for batch in x.split(BATCH):
        optimizer.zero_grad()
        loss(batch).backward()
        optimizer.step()
    return net


@torch.no_grad()
def unlikeliness(net: nn.Module) -> float:
    """Mean −log p of unseen points, in nats; p is zero outside of a square of 8 × 8."""
    axis = torch.linspace(-4, 4, 400)
    grid = torch.cartesian_prod(axis, axis)
    log_z = torch.logsumexp(-net(grid).squeeze(-1), 0) + 2 * (axis[1] - axis[0]).log()
    return float(net(points(2000, 1)).mean() + log_z)


class Flat(nn.Module):
    """The network as the peers want it: one number for each sample, ``(N,)``."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).squeeze(-1)


def contrastive() -> dict[str, Callable[[nn.Module], Loss]]:
    """CD-10 by ULA from the data, the energies' squares weighed alike."""

    def ours(net: nn.Module) -> Loss:
        from lowland.energy import Network
        from lowland.inference import Langevin
        from lowland.objectives import ContrastiveDivergence, Guard
        from lowland.spaces import Real

        energy = Network(net, x=Real(2))
        guard = Guard(regularization=REGULARIZATION)
        objective = ContrastiveDivergence(Langevin(LANGEVIN_RATE), LANGEVIN_STEPS, guard=guard)
        return lambda x: objective(energy, {"x": x}).value

    def torchebm(net: nn.Module) -> Loss:
        from torchebm.core import BaseModel
        from torchebm.losses import ContrastiveDivergence
        from torchebm.samplers import LangevinDynamics

        class Model(BaseModel):
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x).squeeze(-1)

        model = Model()
        sampler = LangevinDynamics(model, step_size=LANGEVIN_RATE)
        loss = ContrastiveDivergence(model, sampler, k_steps=LANGEVIN_STEPS, energy_reg_weight=REGULARIZATION)
        return lambda x: loss(x)[0]

    def ebmkit(net: nn.Module) -> Loss:
        import ebm

        energy, start = Flat(net), []
        sampler = ebm.LangevinDynamics(step_size=LANGEVIN_RATE, steps=LANGEVIN_STEPS)
        loss = ebm.ContrastiveDivergence(sampler, energy_reg=REGULARIZATION, init_fn=lambda shape: start[-1])

        def step(x: Tensor) -> Tensor:
            start[:] = [x]
            return loss(energy, x).loss

        return step

    found = {"lowland": ours}
    if find_spec("torchebm"):
        found["torchebm"] = torchebm
    if find_spec("ebm"):
        found["ebmkit"] = ebmkit
    return found


def denoising() -> dict[str, Callable[[nn.Module], Loss]]:
    """½‖σ∇E(x + σε) − ε‖², through the library, in a few lines of torch, and through ebmkit (who doesn't multiply by σ²)."""

    def ours(net: nn.Module) -> Loss:
        from lowland.energy import Network
        from lowland.objectives import DenoisingScoreMatching
        from lowland.spaces import Real

        energy, objective = Network(net, x=Real(2)), DenoisingScoreMatching(SIGMA)
        return lambda x: objective(energy, {"x": x}).value

    def by_hand(net: nn.Module) -> Loss:
        def step(x: Tensor) -> Tensor:
            noise = torch.randn_like(x)
            spoilt = (x + SIGMA * noise).requires_grad_()
            (slope,) = torch.autograd.grad(net(spoilt).sum(), spoilt, create_graph=True)
            return 0.5 * (SIGMA * slope - noise).square().sum(-1).mean()

        return step

    def ebmkit(net: nn.Module) -> Loss:
        import ebm

        energy, loss = Flat(net), ebm.DenoisingScoreMatching(SIGMA)
        return lambda x: loss(energy, x).loss

    found = {"lowland": ours, "by hand": by_hand}
    if find_spec("ebm"):
        found["ebmkit"] = ebmkit
    return found


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
