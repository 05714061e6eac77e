"""What the training loop costs beside a bare PyTorch loop, Fabric and Lightning's Trainer; LeNet's speed and memory.

All on one thread, with the same data, network, optimiser and number of steps; ours with its progress bar on, its log and
its checkpoints written. The peers Lightning needs (`lightning`) are optional.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

STEPS, BATCH, REPEATS = 625, 32, 5
LENET_STEPS, LENET_BATCH = 400, 32


def run() -> list[dict[str, Any]]:
    """A line for each comparison; ``ratio`` is ours over the peer's (time, memory) or the peer's over ours (speed)."""
    torch.set_num_threads(1)
    loops: dict[str, Callable[[], float]] = {"bare": bare, "lowland": ours, "fabric": fabric}
    if _has_lightning():
        loops["lightning"] = lightning
    times, losses = _interleaved({name: lambda loop=loop: _timed(loop) for name, loop in loops.items()})
    lines = []
    for peer, target in (("bare", 1.2), ("fabric", None), ("lightning", None)):
        if peer in times:
            ratio = times["lowland"] / times[peer]
            lines.append(
                {
                    "name": f"training step, MLP 784-128-10, batch {BATCH}, one thread",
                    "ours": f"{times['lowland'] * 1e3:.3f} ms",
                    "peer": f"{peer} {times[peer] * 1e3:.3f} ms",
                    "value": f"loss {losses['lowland']:.4f} and {losses[peer]:.4f}",
                    "ratio": ratio,
                    "target": target and f"≤ {target}",
                    "met": None if target is None else ratio <= target,
                    "note": "progress, log and checkpoints on" if peer == "bare" else "",
                }
            )
    return lines + _lenet()


# --- the small network ------------------------------------------------------------------------------------------------


def mlp() -> tuple[nn.Module, Tensor, Tensor]:
    """A 784-128-10 network, 20,000 random pictures and labels that a random linear rule gives them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    x = torch.rand(STEPS * BATCH, 784)
    return network, x, (x @ torch.randn(784, 10)).argmax(-1)


def bare() -> float:
    """The loop everybody writes."""
    network, x, y = mlp()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    loss = torch.zeros(())
    began = time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    return _note(began, loss)


def fabric() -> float:
    """The bare loop on Lightning Fabric."""
    from lightning_fabric import Fabric

    network, x, y = mlp()
    engine = Fabric(accelerator="cpu", devices=1)
    model, optimizer = engine.setup(network, torch.optim.SGD(network.parameters(), lr=0.01))
    loader: Any = engine.setup_dataloaders(DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True))
    loss = torch.zeros(())
    began = time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(images), labels)
        engine.backward(loss)
        optimizer.step()
    return _note(began, loss)


def ours() -> float:
    """`lowland.train.Trainer` with progress bar, log and checkpoints."""
    from lowland.train import Player, Trainer

    network, x, y = mlp()
    player = Player(
        "network",
        network,
        lambda batch: nn.functional.cross_entropy(network(batch[0]), batch[1]),
        lambda parameters: torch.optim.SGD(parameters, lr=0.01),
    )
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        trainer = Trainer(network, device="cpu", run=folder, shown=True)
        began = time.perf_counter()
        figures = trainer.fit("fit", player, (x, y), epochs=1, batch_size=BATCH)
        return _note(began, torch.tensor(figures["loss"]))


def lightning() -> float:
    """Lightning's Trainer, with its progress bar and log."""
    import logging
    import warnings

    import lightning as pl

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    network, x, y = mlp()

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any) -> Tensor:
            loss = nn.functional.cross_entropy(self.network(batch[0]), batch[1])
            self.log("loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    loader = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        trainer = pl.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=folder, enable_model_summary=False)
        began = time.perf_counter()
        trainer.fit(Module(), loader)
        return _note(began, trainer.callback_metrics["loss"])


# --- LeNet: speed, and memory in processes of their own -------------------------------------------------------------------


def lenet() -> tuple[nn.Module, Tensor, Tensor]:
    """A LeNet-5 and random pictures."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
    )
    x = torch.rand(LENET_STEPS * LENET_BATCH, 1, 28, 28)
    return network, x, torch.randint(10, (len(x),))


def lenet_bare() -> float:
    """LeNet in a bare loop."""
    network, x, y = lenet()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=LENET_BATCH, shuffle=True)
    loss = torch.zeros(())
    began = time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    return _note(began, loss, LENET_STEPS)


def lenet_ours() -> float:
    """LeNet as an energy with a table over labels, its negative log-likelihood lowered by the Trainer."""
    from lowland.energy import NetworkTable
    from lowland.objectives import NegativeLogLikelihood
    from lowland.spaces import Real
    from lowland.train import Player, Trainer

    network, x, y = lenet()
    energy = NetworkTable(network, Real(1, 28, 28), 10)
    objective = NegativeLogLikelihood("y")
    player = Player("energy", energy, lambda batch: objective(energy, batch), lambda p: torch.optim.AdamW(p, lr=1e-3))
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        trainer = Trainer(energy, device="cpu", run=folder, shown=True)
        began = time.perf_counter()
        figures = trainer.fit("fit", player, {"x": x, "y": y}, epochs=1, batch_size=LENET_BATCH)
        return _note(began, torch.tensor(figures["loss"]), LENET_STEPS)


def _lenet() -> list[dict[str, Any]]:
    times, losses = _interleaved({"bare": lambda: _timed(lenet_bare), "ours": lambda: _timed(lenet_ours)})
    speed = times["bare"] / times["ours"]
    memory = {name: _memory(name) for name in ("lenet_bare", "lenet_ours")}
    growth = memory["lenet_ours"] / memory["lenet_bare"]
    return [
        {
            "name": f"LeNet-5 training speed, batch {LENET_BATCH}, one thread",
            "ours": f"{times['ours'] * 1e3:.2f} ms a step",
            "peer": f"bare {times['bare'] * 1e3:.2f} ms a step",
            "value": f"loss {losses['ours']:.4f} and {losses['bare']:.4f}",
            "ratio": speed,
            "target": "≥ 0.95",
            "met": speed >= 0.95,
            "note": "speed of ours over the bare loop's",
        },
        {
            "name": f"LeNet-5 training, peak memory, batch {LENET_BATCH}",
            "ours": f"{memory['lenet_ours']:.0f} MB",
            "peer": f"bare {memory['lenet_bare']:.0f} MB",
            "value": "",
            "ratio": growth,
            "target": "≤ 1.1",
            "met": growth <= 1.1,
            "note": "peak resident memory of a process that has imported torch, Fabric and lowland",
        },
    ]


# --- measuring --------------------------------------------------------------------------------------------------------------

_losses: list[float] = []


def _note(began: float, loss: Tensor, steps: int = STEPS) -> float:
    seconds = (time.perf_counter() - began) / steps
    _losses.append(float(loss.detach()))
    return seconds


def _timed(loop: Callable[[], float]) -> tuple[float, float]:
    """Seconds a step, and the last loss."""
    seconds = loop()
    return seconds, _losses.pop()


def _interleaved(loops: dict[str, Callable[[], tuple[float, float]]]) -> tuple[dict[str, float], dict[str, float]]:
    """The best of several rounds for each: a busy machine then disturbs all alike."""
    times: dict[str, float] = {}
    losses: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, loop in loops.items():
            seconds, losses[name] = loop()
            times[name] = min(seconds, times.get(name, seconds))
    return times, losses


def _memory(loop: str) -> float:
    """Peak resident memory in MB of a process that runs one loop."""
    code = (
        "import torch, lightning_fabric, lowland.train.trainer, lowland.objectives, torch.utils.data\n"
        f"torch.set_num_threads(1)\nfrom bench.training_loop import {loop}\n{loop}()\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # ru_maxrss would count the parent's
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def _has_lightning() -> bool:
    from importlib.util import find_spec

    return find_spec("lightning") is not None


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
