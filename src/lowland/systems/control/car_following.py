"""How drivers follow the one in front of them: a model of what cannot be foreseen, beside a law of five numbers.

    s[t+1] = s[t] + δ ⊙ net(s[t], a[t], z[t])        s: spacing, both speeds, how one accelerated; a: what the leader does
    z      ~ N(0, 1)                                  what the follower will make of it
    law    : dv/dt = a₀ ( 1 − (v/v₀)⁴ − (s*/s)² )      the intelligent driver model, its five numbers fitted to the same drivers

Given where both are and what the leader will do for five seconds: where will the follower be? Each z is another answer.

Training: a z that an encoder believes in, a fifth of the time drawn blindly (strategy A2), 10 steps of half a second in a row; the law by
    its squared error in the spacing (strategy C1). Adam, rate falling to zero.
No collapse: what came next is given, and what z may tell of it costs its KL divergence.
Sources: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, section 2; Treiber, Hennecke
    & Helbing, Physical Review E 62 (2000), for the law; Treiber & Kesting, Traffic Flow Dynamics (2013), ch. 17, for how it is fitted.
Differences: 1. The leader's doings are known, as where laws of following are judged; nobody else is seen.
Expect: seeds 0–2, ten seconds each: after five seconds a follower on the I-80 is 1.76 m from the mean of ten answers (1.74 to 1.78), 1.15 m
    from the best of them, 2.24 m from that of the law, and 5.28 m from where he would be at constant speed. Answers differ by 0.6 m.
Known failure: answers are too sure of themselves: after five seconds 45 % of what came lies between the lowest and the highest of ten, and
    82 % would if each were as likely as what came. A z is drawn anew for each half second, and what makes drivers differ stays longer than
    that. With 216 more pairs to learn from it is no better.

Your own drivers: ``lowland train car_following --data my_pairs.csv``, a file as `lowland.data.following` describes it; every fifth pair
judges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data import dataset, load
from ...data.following import STEP, STEPS, constant_speed, following_runs, made_up_pair, read_pairs
from ...energy import Forecast, LatentForecast
from ...errors import DataError
from ...nets import Dynamics, IntelligentDriver, mlp
from ...objectives import EnergyLoss, LatentPrediction, Objective
from ...spaces import Real
from ...system import Data, Metric, System, register
from ...train import Player, linear_decay

#: What is seen of drivers who follow, and what their leaders do.
FOLLOWER, LEADER = Real(4), Real(1)
#: Every fifth pair of one's own is kept for judging.
KEPT = 5
#: Answers that are drawn for each run; moments that are shown.
DRAWN, SHOWN = 10, 4
#: Seconds to each step of a run.
AHEAD = STEP * torch.arange(1, STEPS + 1)


@dataclasses.dataclass(frozen=True)
class Config:
    """What is watched and learnt."""

    data: str = "ngsim_i80"
    """A file of pairs; or ngsim_i80 for drivers on the I-80, made_up for a few that are driven here."""
    z: int = 1
    """Numbers in what cannot be foreseen."""
    noise: float = 0.3
    """How far off a forecast of a step usually is, in usual changes."""
    z_dropout: float = 0.2
    """How often z is drawn blindly in training."""
    steps: int = 1250
    """Steps of training, of each of the two."""
    batch_size: int = 128
    """Runs in a batch."""
    rate: float = 2e-3
    """Adam's, at the start; ten times that for the five numbers. It falls to zero."""


def settle(config: Config) -> Config:
    """A file is found again from anywhere."""
    named = config.data in ("ngsim_i80", "made_up")
    return config if named else dataclasses.replace(config, data=str(Path(config.data).absolute()))


def build(config: Config) -> nn.ModuleDict:
    model = Dynamics(FOLLOWER, LEADER, z=Real(config.z))
    encoder = mlp((2 * FOLLOWER.shape[0], 64, 2 * config.z))
    return nn.ModuleDict(
        {
            "follower": LatentForecast(model, encoder, STEPS, noise=config.noise),
            "intelligent": Forecast(IntelligentDriver(STEP), STEPS),
        }
    )


def data(config: Config) -> Data:
    pairs, source = _pairs(config)
    runs = {split: following_runs(some) for split, some in pairs.items()}
    name = Path(config.data).name
    return Data(runs["train"], test=runs["test"], sources={name: source}, extra={"pair": pairs["test"][0]})


def _pairs(config: Config) -> tuple[dict[str, list[Tensor]], dict[str, Any]]:
    if config.data == "ngsim_i80":
        pairs = {split: load("ngsim_i80", split)["pairs"] for split in ("train", "test")}
        return pairs, dataset("ngsim_i80").record("train", "test")
    everyone = [made_up_pair(seed) for seed in range(6)] if config.data == "made_up" else read_pairs(config.data)
    if len(everyone) < KEPT:
        raise DataError(
            f"{config.data}: wanted at least {KEPT} pairs, of which every fifth judges, got {len(everyone)}."
        )
    kept = range(KEPT - 1, len(everyone), KEPT)
    pairs = {
        "train": [pair for number, pair in enumerate(everyone) if number not in kept],
        "test": [everyone[number] for number in kept],
    }
    return pairs, {"split": "every fifth pair judges", "samples": len(everyone), "sha256": {}}


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    runs = data.train
    trainer.once("units", lambda: model["follower"].model.fit_scale(runs["s"], runs["a"][:, 0], runs["y"][:, 0]))
    latent: Objective = LatentPrediction(dropout=config.z_dropout)
    for name, objective, rate in (("follower", latent, config.rate), ("intelligent", EnergyLoss(), 10 * config.rate)):
        player = Player(name, model[name], _loss(objective, model[name]), _adam(rate), linear_decay, clip=1000.0)
        trainer.fit(name, player, runs, steps=config.steps, batch_size=config.batch_size)


def _loss(objective: Objective, energy: Any) -> Callable[[dict[str, Tensor]], Any]:
    return lambda batch: objective(energy, batch)


def _adam(rate: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


# --- judging ----------------------------------------------------------------------------------------------------------------


def answers(model: Any, runs: dict[str, Tensor]) -> Tensor:
    """Spacings that may come, ``(10, W, T)``, each with a z of its own."""
    generator, model = torch.Generator().manual_seed(0), model["follower"].model
    shape = (*runs["a"].shape[:2], *model.z.shape)
    z = [torch.randn(shape, generator=generator) for _ in range(DRAWN)]
    return torch.stack([model.rollout(runs["s"], runs["a"], one)[0, ..., 0] for one in z])


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    runs = dict(data.test)
    end, drawn = runs["y"][:, -1, 0], answers(model, runs)[..., -1]
    off = {
        "error": drawn.mean(0) - end,
        "best_error": (drawn - end).abs().amin(0),
        "intelligent_error": model["intelligent"].model.rollout(runs["s"], runs["a"])[0, :, -1, 0] - end,
        "constant_error": constant_speed(runs) - end,
    }
    found = {name: value.square().mean().sqrt().item() for name, value in off.items()}
    gain = 1 - found["error"] / max(min(found["intelligent_error"], found["constant_error"]), 1e-6)
    return {**found, "gain": 100 * gain, "spread": drawn.std(0).mean().item()}


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, panels
    from ...report.charts import draw_lines

    runs = following_runs([data.extra["pair"]])
    shown = {name: value[:: max(len(value) // SHOWN, 1)][:SHOWN] for name, value in runs.items()}
    drawn, law = answers(model, shown), model["intelligent"].model.rollout(shown["s"], shown["a"])[0, ..., 0]
    spacings = {"what came": shown["y"][..., 0], "the law": law, "learnt": drawn.mean(0)}
    figure, grid = panels(2, SHOWN // 2, width=8.0, height=5.0)
    for place, axes in enumerate(grid.flat):
        lines = {name: value[place] for name, value in spacings.items()}
        draw_lines(
            axes, AHEAD, lines, bands={"learnt": (drawn[:, place].amin(0), drawn[:, place].amax(0))}, markers=False
        )
    for axes in grid[-1]:
        axes.set_xlabel("seconds ahead")
    for axes in grid[:, 0]:
        axes.set_ylabel("spacing, in metres")
    found = evaluate(model, config, data)
    errors = {
        "learnt": found["error"],
        "the law": found["intelligent_error"],
        "constant speed": found["constant_error"],
    }
    return [
        Picture("Where the follower will be", "Moments of one driver who was kept. Shaded: where ten z take him; their mean; the law; "
                "and what came.", figure),
        Picture("How far off", "After five seconds, in pairs that were kept.", bars(errors, unit="m")),
    ]  # fmt: skip


register(
    System(
        name="car_following",
        title="How drivers follow: answers that differ, beside a law of five numbers",
        rows=("R70",),
        paper="Treiber, Hennecke & Helbing 2000",
        config=Config,
        presets={"smoke": {"data": "made_up", "steps": 20}},
        build=build,
        settle=settle,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        main="follower",
        observed="s",
        unknown="y",
        metrics=(
            Metric("error", "lower", unit="m",
                   about="root mean square of 20 test drivers' places on the I-80 after 5 s, by the mean of ten z"),
            Metric("intelligent_error", "lower", unit="m", about="of the intelligent driver model, fitted to the same drivers"),
            Metric("constant_error", "lower", unit="m", about="at constant speed"),
            Metric("gain", "higher", gate=0.0, gate_source="own", unit="%", about="by how much it beats the better of these two"),
            Metric("best_error", "lower", unit="m", about="of the best of ten z"),
            Metric("spread", "higher", unit="m", about="deviation of the place over z"),
        ),
    )
)  # fmt: skip
