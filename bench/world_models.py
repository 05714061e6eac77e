"""Learning worlds beside a hand-written loop, and a policy beside the planning it replaces; all on one thread.

The worlds are one network 6-64-64-4, and five networks 6-200-200-200-4, an ensemble as in PETS: how a state of 4 numbers changes with an
action of 2, learnt from 20,000 random steps by Adam; the same networks from the same start, inputs and changes in their usual units, as
many batches. The policy drives a cart on rails, whose best plans are known exactly.

Source: Chua et al., NeurIPS 2018, for the size of an ensemble.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STATE, ACTION = 4, 2
#: Members and units; steps of training, and how often they are taken, the shortest time counting.
WORLDS = ((1, (64, 64), 780, 5), (5, (200, 200, 200), 156, 4))
SAMPLES, BATCH = 20_000, 256
RATE = 1e-3
#: A cart on rails, pushed: position and speed, 0.2 seconds a step; what they and the push cost.
A, B = torch.tensor([[1.0, 0.2], [0.0, 1.0]]), torch.tensor([[0.02], [0.2]])
Q, R = torch.diag(torch.tensor([1.0, 0.1])), torch.tensor([[0.1]])
HORIZON, CARTS = 12, 200


def run() -> list[dict[str, Any]]:
    """Three lines; ``ratio`` is the peer's time over ours, and the planner's over the policy's."""
    torch.set_num_threads(1)
    return [*(learning(*world) for world in WORLDS), policy()]


# --- learning ---------------------------------------------------------------------------------------------------------------


def learning(members: int, units: tuple[int, ...], steps: int, repeats: int) -> dict[str, Any]:
    """Seconds of a step of learning one world, ours beside the bare loop's."""
    data = _steps()
    best, errors = {"ours": float("inf"), "bare": float("inf")}, {}
    for _ in range(repeats):
        for name, loop in (("bare", bare), ("ours", ours)):
            seconds, errors[name] = loop(members, units, steps, *data)
            best[name] = min(best[name], seconds)
    ratio = best["bare"] / best["ours"]
    size = "-".join(map(str, (STATE + ACTION, *units, STATE)))
    return {
        "name": f"a step of learning a world, {f'{members} MLPs' if members > 1 else 'MLP'} {size}, batch {BATCH}",
        "ours": f"{1e3 * best['ours']:.3f} ms",
        "peer": f"bare loop {1e3 * best['bare']:.3f} ms",
        "value": f"mean error of the last steps {errors['ours']:.2g} and {errors['bare']:.2g}",
        "ratio": ratio,
        "target": "≥ 0.9",
        "met": ratio >= 0.9,
        "note": "ours with its checks for numbers that are not finite, and Adam's step in one kernel, which the trainer asks for",
    }


def _steps() -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    s, a = torch.randn(SAMPLES, STATE, generator=draw), torch.randn(SAMPLES, ACTION, generator=draw)
    return s, a, s + 0.1 * torch.cat([s[:, 1:].sin(), s[:, :1]], -1) + 0.1 * a.repeat(1, 2)


def _layers(members: int, units: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Weights ``(members, in, out)`` and biases ``(members, 1, out)``, the same ones each time."""
    draw = torch.Generator().manual_seed(0)
    sizes = pairwise((STATE + ACTION, *units, STATE))
    return [
        (torch.randn(members, i, o, generator=draw) / i**0.5, 0.1 * torch.randn(members, 1, o, generator=draw))
        for i, o in sizes
    ]


def bare(members: int, units: tuple[int, ...], steps: int, s: Tensor, a: Tensor, y: Tensor) -> tuple[float, float]:
    """The loop that everybody writes, its batches cut from tensors: of one network by `nn.Linear`, of several by batched products."""
    layers = _layers(members, units)
    if members == 1:
        network = _plain(layers)
        parameters = list(network.parameters())
    else:
        parameters = [nn.Parameter(part) for layer in layers for part in layer]

        def network(x: Tensor) -> Tensor:
            x = x.expand(members, *x.shape)
            for place in range(0, len(parameters), 2):
                x = torch.baddbmm(parameters[place + 1], x, parameters[place])
                x = F.silu(x) if place < len(parameters) - 2 else x
            return x

    deviation, mean = torch.std_mean(torch.cat([s, a], -1), 0)
    scale = (y - s).square().mean(0).sqrt()
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    losses, taken, began = [], 0, time.process_time()
    while taken < steps:
        for rows in torch.randperm(len(s)).split(BATCH)[: steps - taken]:
            now, push, after = s[rows], a[rows], y[rows]
            optimizer.zero_grad(set_to_none=True)
            said = now + scale * network((torch.cat([now, push], -1) - mean) / deviation)
            loss = 0.5 * ((after - said) / scale).square().sum(-1).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            taken += 1
    return (time.process_time() - began) / steps, torch.stack(losses[-20:]).mean().item()


def _plain(layers: list[tuple[Tensor, Tensor]]) -> nn.Sequential:
    """One network as everybody writes it."""
    parts: list[nn.Module] = []
    for weight, bias in layers:
        layer = nn.Linear(*weight.shape[1:])
        layer.weight.data, layer.bias.data = weight[0].T.contiguous(), bias[0, 0].clone()
        parts += [layer, nn.SiLU()]
    return nn.Sequential(*parts[:-1])


def ours(members: int, units: tuple[int, ...], steps: int, s: Tensor, a: Tensor, y: Tensor) -> tuple[float, float]:
    """`lowland.train.Trainer` on a forecast."""
    from lowland.energy import Forecast
    from lowland.nets import Dynamics
    from lowland.objectives import EnergyLoss
    from lowland.spaces import Real
    from lowland.train import Player, Trainer

    model, objective = Dynamics(Real(STATE), Real(ACTION), units, members=members), EnergyLoss()
    model.fit_scale(s, a, y)
    with torch.no_grad():
        for place, (weight, bias) in enumerate(_layers(members, units)):
            model.weights[place].copy_(weight.mT)
            model.biases[place].copy_(bias)
    forecast = Forecast(model)
    player = Player(
        "model",
        forecast,
        lambda batch: objective(forecast, batch),
        lambda parameters: torch.optim.Adam(parameters, lr=RATE),
    )
    trainer = Trainer(forecast, device="cpu", shown=False)
    data, began = {"s": s, "a": a.unsqueeze(1), "y": y.unsqueeze(1)}, time.process_time()
    figures = trainer.fit("model", player, data, steps=steps, batch_size=BATCH)
    return (time.process_time() - began) / steps, figures["loss"]


# --- acting -----------------------------------------------------------------------------------------------------------------


def policy() -> dict[str, Any]:
    """A policy that was trained through the model, beside iCEM: seconds of each, and energy above Riccati's optimum."""
    from lowland.energy import Driven, KnownModel, QuadraticCost, Rollout
    from lowland.inference import ICEM, infer
    from lowland.nets import Policy
    from lowland.objectives import EnergyLoss
    from lowland.spaces import Box, Real
    from lowland.train import fit

    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    state, push = Real(2), Box(-5, 5, 1)
    law = KnownModel(lambda s, a: s @ A.T + a @ B.T, state, push)
    plan = Rollout(law, QuadraticCost(Q, R), HORIZON, final=QuadraticCost(_cost_to_go(200)))
    driven = Driven(plan, Policy(state, push))
    fit(driven, {"s": torch.randn(5000, 2, generator=draw)}, EnergyLoss(), epochs=20, rate=3e-3, shown=False)
    s = torch.randn(CARTS, 2, generator=draw)
    optimum = 0.5 * torch.linalg.vecdot(s @ _cost_to_go(200), s).sum()
    options = {"steps": 10, "generator": draw}
    with torch.no_grad():
        began = time.process_time()
        found = infer(plan, "a", s=s, solver=ICEM(300, 30), options=options).energy.sum() / optimum
        planning = time.process_time() - began
        following = min(_timed(lambda: driven.policy(s)) for _ in range(50))
        extra = (driven(s=s).sum() / optimum).item() - 1
    ratio = planning / following
    return {
        "name": f"a policy beside planning, {CARTS} carts at once, iCEM, horizon {HORIZON}",
        "ours": f"policy {1e6 * following:.0f} µs",
        "peer": f"planning {1e3 * planning:.0f} ms",
        "value": f"energy above the optimum {100 * extra:.1f} % and {100 * (found.item() - 1):.1f} %",
        "ratio": ratio,
        "target": "≥ 100, at ≤ 10 % more energy",
        "met": ratio >= 100 and extra <= 0.1,
        "note": "",
    }


def _cost_to_go(steps: int) -> Tensor:
    """P of ½ sᵀPs, backwards from the last step (Bryson & Ho 1975, eq. 2.2.17)."""
    P = Q
    for _ in range(steps):
        gain = torch.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = Q + A.T @ P @ (A - B @ gain)
    return P


def _timed(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
