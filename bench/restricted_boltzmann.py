"""Restricted Boltzmann machines: passes of contrastive divergence over digits beside scikit-learn, and how likely the digits become."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from .timing import interleaved

HIDDEN, RATE, PASSES, REPEATS = 500, 0.05, 5, 3
#: How much less likely unseen digits may be, in nats, for the quality to count as equal.
SAME = 1.0


def run() -> list[dict[str, Any]]:
    """A line for each batch size and kind of chain; ``ratio`` is our samples per second over the peer's."""
    lines = []
    x, unseen = digits()
    contenders = {
        (who, batch_size, persistent): partial(one, x, batch_size, persistent)
        for who, one in (("lowland", sweeps), ("objective", descent))
        for batch_size in (10, 500)
        for persistent in (True, False)
    }
    if find_spec("sklearn"):
        contenders |= {("scikit-learn", batch_size, True): partial(sklearn, x, batch_size) for batch_size in (10, 500)}
    times, machines = interleaved(contenders, REPEATS)
    speed = {key: PASSES * len(x) / time for key, time in times.items()}
    likely = {key: likelihood(machine, x, unseen) for key, machine in machines.items()}
    for who, batch_size, persistent in contenders:
        if who == "scikit-learn":
            continue
        for peer_batch in (10, 500) if batch_size == 500 else (10,):
            ours, peer = (who, batch_size, persistent), ("scikit-learn", peer_batch, True)
            if peer not in speed:
                continue
            target = {(10, 10): 1.0, (500, 10): 3.0}.get((batch_size, peer_batch)) if who == "lowland" else None
            ratio, gap = speed[ours] / speed[peer], likely[ours] - likely[peer]
            how = "boltzmann_sweep" if who == "lowland" else "objective, autograd and SGD"
            lines.append(
                {
                    "name": f"{'PCD' if persistent else 'CD'}-1, 784–{HIDDEN}, batches of {batch_size}: {how}",
                    "ours": f"{speed[ours]:,.0f} samples/s",
                    "peer": f"scikit-learn, batches of {peer_batch}: {speed[peer]:,.0f} samples/s",
                    "value": f"log p of unseen digits {likely[ours]:.1f} and {likely[peer]:.1f} nats",
                    "ratio": ratio,
                    "target": None if target is None else f"≥ {target}",
                    "met": None if target is None else ratio >= target and (gap >= -SAME or batch_size != peer_batch),
                    "note": f"{PASSES} passes over {len(x):,} digits at the rate {RATE}; log p by annealed importance sampling",
                }
            )
    return lines


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits as 28×28 bits: to learn from, and unseen ones."""
    from lowland.data import labelled_images

    found = labelled_images("digits")
    return (found.train["x"] > 0.5).float(), (found.test["x"] > 0.5).float()


def begin(x: Tensor) -> Any:
    from lowland.energy import RestrictedBoltzmann
    from lowland.spaces import Binary

    torch.manual_seed(0)
    machine = RestrictedBoltzmann(Binary(*x.shape[1:]), HIDDEN)
    machine.start(x)
    return machine


def sweeps(x: Tensor, batch_size: int, persistent: bool) -> Any:
    """`lowland.objectives.boltzmann_sweep`."""
    from lowland.objectives import boltzmann_sweep

    machine = begin(x)
    chains = machine.draw("z", x=x[:batch_size]) if persistent else None
    for _ in range(PASSES):
        ended = boltzmann_sweep(machine, x, rate=RATE, batch_size=batch_size, chains=chains)
        chains = ended if persistent else None
    return machine


def descent(x: Tensor, batch_size: int, persistent: bool) -> Any:
    """The objective, autograd and ``torch.optim.SGD``: what serves any energy."""
    from lowland.inference import Gibbs
    from lowland.objectives import ContrastiveDivergence, PersistentContrastiveDivergence

    machine = begin(x)
    energy = machine.marginalize("z")
    objective = PersistentContrastiveDivergence(Gibbs()) if persistent else ContrastiveDivergence(Gibbs())
    optimizer = torch.optim.SGD(machine.parameters(), lr=RATE)
    for _ in range(PASSES):
        for batch in x.split(batch_size):
            optimizer.zero_grad()
            objective(energy, {"x": batch}).value.backward()
            optimizer.step()
    return machine


def sklearn(x: Tensor, batch_size: int) -> Any:
    """``BernoulliRBM``, which is PCD-1, in float32."""
    from sklearn.neural_network import BernoulliRBM

    fitted = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=batch_size, n_iter=PASSES, random_state=0)
    fitted.fit(x.flatten(1).numpy())
    machine = begin(x)
    with torch.no_grad():
        machine.x_origin.zero_()
        machine.z_origin.zero_()
        machine.W.copy_(torch.from_numpy(fitted.components_).T)
        machine.b.copy_(torch.from_numpy(fitted.intercept_visible_))
        machine.c.copy_(torch.from_numpy(fitted.intercept_hidden_))
    return machine


@torch.no_grad()
def likelihood(machine: Any, x: Tensor, unseen: Tensor) -> float:
    """Mean log p of unseen digits, in nats."""
    from lowland.energy import IndependentBits
    from lowland.inference import annealed_importance_sampling

    energy = machine.marginalize("z")
    generator = torch.Generator().manual_seed(0)
    found = annealed_importance_sampling(energy, IndependentBits.of(x), chains=100, steps=1000, generator=generator)
    return -energy(x=unseen).mean().item() - found.value


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
