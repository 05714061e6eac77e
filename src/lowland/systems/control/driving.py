"""Drive in dense traffic, having only watched others drive: a model of what cannot be foreseen, and a policy that learns inside it.

    s[t+1] = s[t] + δ ⊙ net_m(s[t], a[t], z[t])      m: a mask of dropout; z ~ N(0, 1): what the others will do
    E(s, a) = mean over m Σ_t γᵗ C(s[t], a[t]) + u Σ_t doubt[t]      C: near, between lanes, slow
    policy  = argmin_π Σ_s E(s, π)                   the slope through 20 steps of the model; z drawn anew for each state
    s       : where one is across the road, how fast one goes; where six neighbours are and how fast they go

The policy drives one car of a recording while all others do what they did, to whom it is invisible. Beside it: the same one without
doubt, in the mean of the model's versions and in one version with all its units; one learnt in a single model without z or dropout; one
that copies the drivers. How real drivers follow the one in front is the system `car_following`.

Training: a z that an encoder believes in, a fifth of the time drawn blindly (strategy A2, 5 steps of 0.2 s in a row); the model then stays
    as it is, and policies lower their plan's energy over recorded states; of four that begin in different places the one with the
    lowest energy is kept, with doubt and without, so that no figure hangs on where one began. Nobody drives while a model is learnt.
No collapse: what came next is given, and what z may tell of it costs its KL divergence. The energy of a plan is learnt from nothing but it.
Sources: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, sections 2–5; Treiber,
    Hennecke & Helbing, Physical Review E 62 (2000), and Kesting, Treiber & Helbing (2007), for the drivers that are watched.
Differences: 1. Neighbours are vectors, for pictures of 117 × 24 pixels; in a run they stay the same ones, wherever they get to. 2. Traffic
    is driven by highway-env, four lanes and 40 cars that change them: the scene of 200 vehicles on the I-80 that is at hand has them all
    at the beginning of the road at once, one in another. 3. The cost has the speed one wants, too. 4. An action is how hard one
    accelerates, and how fast one goes across. 5. The cost sees vehicles of 5 m; touching is judged by what they are.
    6. Of four policies one is kept.
Expect: seeds 0–2, two minutes each of one core. With doubt 85 % of 100 cars of scenes nobody watched get through (82, 90, 84), 169 m far
    where drivers got 167. Without doubt 11, 9 and 71 %; in one version of the model, all its units, 10, 11 and 30 %; in a model without z
    15, 87 and 18 %; of who copies 3 %. The best of ten z is 13 % nearer to what came than a model without z. Doubt and error have a rank
    correlation of 0.63.
Known failure: how much doubt it takes is a matter of how much there is to be gained. A third of its weight let one model of those three
    fail (90, 16 and 92 %), and one of five on scenes for tuning (87, 36, 88, 87, 88; with this weight 84, 67, 85, 88, 87; with three times
    as much 76, 62, 80, 87, 84). What tempts is the wish to get on: on those scenes, for other models, one version without doubt got 17 %
    through, 42 with a third of that wish, and 85 (one model) with the paper's cost alone, in which nobody wants to get anywhere; there
    doubt buys nothing. A price on actions and on the edge of the road does by hand what doubt does: with both, and a third of the wish, it
    was 67 of 100 judged cars. In one version without doubt 209 of 249 failures are into the one in front: it pushes by more than half of
    what it can in two to four fifths of its steps, and in two models goes across like that in two thirds; recorded drivers do either in
    one of a hundred. With doubt nobody does, and 21 of 44 failures are against somebody beside, 10 off the road, 8 in front and 5 from
    behind. Futures are too much alike: they differ by 0.3 m where the best of ten is 0.9 m off; with z drawn blindly half as often, or
    with eight numbers in it, they differ by more, and the best is no nearer.

Your own recordings: ``lowland train driving --data my_traffic.csv --lanes 3 --lane 3.5``, a file as `lowland.data.traffic` describes it.
The vehicles that begin on the last quarter of the road judge. ``lowland plan RUN lowland/TrafficReplay-v0 --policy`` drives one of those;
with ``--set recording=another.csv`` any of another file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data.traffic import EACH, LIMITS, OWN, STATE
from ...energy import Driven, Energy, Forecast, LatentForecast, Rollout
from ...environments.driving_cost import DONE, SEEN, DrivingCost
from ...errors import UsageError
from ...nets import Dynamics, Policy, Starts, mlp
from ...objectives import EnergyLoss, LatentPrediction, Objective, rank_correlation
from ...spaces import Real
from ...system import Data, Metric, System, register
from ...train import Player, linear_decay

ENVIRONMENT = "lowland/TrafficReplay-v0"
#: First scenes of the highway: those that are learnt from, and those that are judged. Settings were chosen on scenes from 500 on.
LEARN, JUDGE = 0, 900
#: Of a file of one's own, the vehicles that begin on this part of the road are learnt from; on the rest they are judged.
LEARNT = 0.75
#: With doubt; without it, in the versions' mean; without it, in one version; in one model without z; and the copy of the drivers.
POLICIES = ("policy", "averaged", "careless", "plain", "cloned")
WORDS = ("with doubt", "without doubt", "one version", "without z", "copied")
#: The neighbours' places along the road, in a state.
AHEAD = slice(OWN, STATE, EACH)
#: States at which the policies of several starts are compared.
CHOSEN = 1000
#: Cars that are driven for a picture.
SHOWN = 30


@dataclasses.dataclass(frozen=True)
class Config:
    """What is watched, learnt and driven."""

    data: str = "highway"
    """A file of recorded traffic, or highway for scenes that are driven here."""
    scenes: int = 16
    """Scenes of the highway that are watched; half as many are judged."""
    cars: int = 40
    """Vehicles in each of them."""
    seconds: float = 20.0
    """How long each of them is."""
    lanes: int = 4
    """Lanes of the road."""
    lane: float = 4.0
    """How wide each of them is, in metres."""
    frames: int = 2
    """Frames of the recording that are a step."""
    wanted: float = 12.0
    """How fast it wants to go, in m/s."""
    hidden: int = 128
    """Units of each hidden layer of the model."""
    z: int = 2
    """Numbers in what cannot be foreseen."""
    dropout: float = 0.03
    """Which part of the model's units is silent."""
    masks: int = 5
    """Versions of the model that dropout makes."""
    noise: float = 0.3
    """How far off a forecast of a step usually is, in usual changes."""
    z_dropout: float = 0.2
    """How often z is drawn blindly in training."""
    ahead: int = 5
    """Steps in a row that are foreseen in training."""
    steps: int = 2500
    """Steps of training of each model."""
    rate: float = 2e-3
    """Adam's, at the start of each training; it falls to zero."""
    horizon: int = 20
    """Steps that the policy's energy looks ahead."""
    discount: float = 0.99
    """What a step counts, of the one before."""
    uncertainty: float = 0.3
    """Weight of the uncertainty cost, in units of cost per deviation from the usual doubt."""
    policy_steps: int = 600
    """Steps of training of each policy."""
    starts: int = 4
    """Policies that are begun; the one with the lowest energy is kept."""
    judged: int = 100
    """Cars that are driven to judge each policy."""


def settle(config: Config) -> Config:
    """A file is found again from anywhere."""
    return config if config.data == "highway" else dataclasses.replace(config, data=str(Path(config.data).absolute()))


def build(config: Config) -> nn.ModuleDict:
    units = (config.hidden, config.hidden)
    model = Dynamics(SEEN, DONE, units, z=Real(config.z), dropout=config.dropout, masks=config.masks).eval()
    cost = DrivingCost(config.lane, config.wanted)

    def plan(model: Dynamics, uncertainty: float = 0.0) -> Rollout:
        return Rollout(model, cost, config.horizon, uncertainty=uncertainty, discount=config.discount)

    def starts() -> Starts:
        return Starts([Policy(SEEN, DONE) for _ in range(config.starts)])

    whole = Dynamics(SEEN, DONE, units, z=Real(config.z))
    plain = Dynamics(SEEN, DONE, units)
    careful = plan(model, config.uncertainty)
    return nn.ModuleDict(
        {
            "forecast": LatentForecast(model, mlp((2 * STATE, 64, 2 * config.z)), config.ahead, noise=config.noise),
            "whole": Forecast(whole, config.ahead),
            "blurred": Forecast(plain, config.ahead),
            "plan": careful,
            "policy": Driven(careful, starts()),
            "averaged": Driven(plan(model), starts()),
            "careless": Driven(plan(whole), starts()),
            "plain": Driven(plan(plain), starts()),
            "cloned": Driven(careful, Policy(SEEN, DONE)),
        }
    )


def _sources(config: Config) -> tuple[Any, Any]:
    """Whose cars are watched, and whose are driven to judge."""
    from ...environments.traffic_replay import Source

    names = ("cars", "seconds", "lanes", "lane", "frames")
    common = {"recording": config.data, **{name: getattr(config, name) for name in names}}
    if config.data == "highway":
        judged = max(config.scenes // 2, 1)
        return Source(first=LEARN, scenes=config.scenes, **common), Source(first=JUDGE, scenes=judged, **common)
    return Source(high=LEARNT, **common), Source(low=LEARNT, **common)


def data(config: Config) -> Data:
    found = {}
    for name, source in zip(("train", "test"), _sources(config), strict=True):
        parts = [one.runs(config.horizon, one.stretch(source.low, source.high)) for one in source.traffic()]
        found[name] = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    runs = found["train"]
    split = f"{config.scenes} scenes" if config.data == "highway" else "by place"
    sources = {Path(config.data).name: {"split": split, "samples": len(runs["s"]), "sha256": {}}}
    short = {"s": runs["s"], "a": runs["a"][:, : config.ahead], "y": runs["y"][:, : config.ahead]}
    return Data(short, test=found["test"], sources=sources, extra=found)


# --- learning ---------------------------------------------------------------------------------------------------------------


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    _foresee(model, config, data, trainer)
    forecast, plan, runs = model["forecast"].eval(), model["plan"], data.extra["train"]

    def doubts() -> None:
        some = torch.randperm(len(runs["s"]), generator=trainer.generator)[:3000]
        plan.calibrate(runs["s"][some], runs["a"][some], _drawn(len(some), config, trainer.generator))
        known = {name: value for name, value in forecast.model.state_dict().items() if not name.startswith("mask")}
        model["whole"].model.load_state_dict(known, strict=False)
        for name in POLICIES:
            model[name].policy.fit_scale(runs["s"])

    trainer.once("doubts", doubts)
    learnt = [part for name in ("forecast", "whole", "blurred") for part in model[name].parameters()]
    for parameter in learnt:  # policies go downhill in them, and leave them as they are
        parameter.requires_grad_(False)
    for name in POLICIES[:-1]:
        _drive(name, model[name], config, runs["s"], trainer)
    for parameter in learnt:
        parameter.requires_grad_(True)
    clone = model["cloned"]

    def unlike(batch: dict[str, Tensor]) -> Tensor:
        return (clone.policy(batch["s"]) - batch["a"]).square().mean()

    copy = Player("cloned", clone, unlike, _adam(config.rate), linear_decay)
    trainer.fit("cloned", copy, {"s": runs["s"], "a": runs["a"][:, 0]}, steps=config.steps, batch_size=256)


def _drive(name: str, driven: Driven, config: Config, s: Tensor, trainer: Any) -> None:
    """Several policies, of which the one with the lowest energy is kept."""
    starts: Any = driven.policy
    objective = EnergyLoss()

    def drawn(count: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {"z": _drawn(count, config, generator)} if "z" in driven.spaces else {}

    def loss(batch: dict[str, Tensor]) -> Any:
        return objective(driven, {**batch, **drawn(len(batch["s"]))})

    def adam(parameters: Any) -> torch.optim.Optimizer:
        optimizer = _adam(config.rate)(parameters)
        optimizer.register_step_pre_hook(lambda *_: starts.clip(10.0 / config.starts))
        return optimizer

    player = Player(name, driven, loss, adam, linear_decay)
    trainer.fit(name, player, {"s": s}, steps=config.policy_steps, batch_size=64 * config.starts)

    def choose() -> None:
        some = torch.randperm(len(s), generator=trainer.generator)[:CHOSEN]
        z = drawn(len(some), trainer.generator)
        starts.choose(lambda: driven(s=s[some], **z))

    trainer.once(f"{name} chosen", choose)


def _foresee(model: Any, config: Config, data: Data, trainer: Any) -> None:
    """The models: with z, and without."""
    watched = data.train

    def units() -> None:
        for name in ("forecast", "blurred"):
            model[name].model.fit_scale(watched["s"], watched["a"][:, 0], watched["y"][:, 0])

    trainer.once("units", units)
    for name, objective in (("forecast", LatentPrediction(dropout=config.z_dropout)), ("blurred", EnergyLoss())):
        energy = model[name]

        def loss(batch: dict[str, Tensor], energy: Energy = energy, objective: Objective = objective) -> Any:
            return objective(energy, batch)

        player = Player(name, energy, loss, _adam(config.rate), linear_decay, clip=1000.0)
        trainer.fit(name, player, watched, steps=config.steps, batch_size=128)


def _drawn(count: int, config: Config, generator: torch.Generator | None) -> Tensor:
    return torch.randn(count, config.horizon, config.z, generator=generator)


def _adam(rate: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


def act(model: Any, config: Config, environment: str, policy: bool) -> Any:
    """Who acts for ``lowland plan``."""
    from ...environments import Follow

    if environment != ENVIRONMENT or not policy:
        raise UsageError(
            f"driving has a policy for {ENVIRONMENT}, and does not plan: lowland plan RUN {ENVIRONMENT} --policy."
        )
    return Follow(model["policy"].policy)


def surroundings(config: Config, environment: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What the environment replays: the part of one's own recording that judges, one of the highway's scenes, or all of another file."""
    if environment != ENVIRONMENT:
        return {}
    judged = dataclasses.asdict(_sources(config)[1])
    return {**judged, "scenes": 1, **({"low": 0.0} if "recording" in chosen else {})}


# --- judging ----------------------------------------------------------------------------------------------------------------


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    return {
        **_driven(model, config),
        **_futures(model, config, _some(data.extra["test"], 1000)),
        **_doubts(model, config, _some(data.extra["test"], 1000)),
    }


def _driven(model: Any, config: Config) -> dict[str, float]:
    """How often each policy gets to the end of the recording, how far, and how far the drivers got."""
    from ...environments import Follow, record
    from ...environments.traffic_replay import cases

    source = _sources(config)[1]
    there = cases(source)[: config.judged]
    found, recorded = {}, sum(case.metres for case in there) / len(there)
    for name in POLICIES:
        acted = record(ENVIRONMENT, Follow(model[name].policy), len(there), **dataclasses.asdict(source))
        found[f"{name}_success"] = 100 * acted.about["success"].count("1") / len(there)
        found[f"{name}_metres"] = acted.returns.mean().item()
    for name in ("averaged", "careless"):
        found[f"{name}_share"] = 100 * found[f"{name}_success"] / max(found["policy_success"], 1.0)
    return {**found, "recorded_metres": recorded}


def _some(runs: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    order = torch.randperm(len(runs["s"]), generator=torch.Generator().manual_seed(0))[:count]
    return {name: value[order] for name, value in runs.items()}


def _samples(model: Any, config: Config, runs: dict[str, Tensor], count: int) -> Tensor:
    """Futures with different z, ``(K, W, T, S)``: the mean over the versions of each."""
    generator, dynamics = torch.Generator().manual_seed(0), model["plan"].model
    z = [_drawn(len(runs["s"]), config, generator) for _ in range(count)]
    return torch.stack([dynamics.rollout(runs["s"], runs["a"], one).mean(0) for one in z])


def _futures(model: Any, config: Config, runs: dict[str, Tensor]) -> dict[str, float]:
    """Where neighbours are at the end of the horizon: how far off, in metres along the road; and whether actions are listened to."""
    end = runs["y"][:, -1, AHEAD]
    blurred = model["blurred"].model.rollout(runs["s"], runs["a"])[0, :, -1, AHEAD]
    drawn = _samples(model, config, runs, 10)[:, :, -1, AHEAD]
    off = {"blurred": (blurred - end).abs().mean(-1).mean(), "best": (drawn - end).abs().mean(-1).amin(0).mean()}
    other = runs["a"].roll(1, 0)  # what somebody else did
    limits = runs["s"].new_tensor(LIMITS) * 0.1 * config.frames
    meant = torch.stack(
        [runs["s"][:, 0] + limits[1] * other[..., 1].sum(1), runs["s"][:, 1] + limits[0] * other[..., 0].sum(1)], -1
    )
    z = _drawn(len(other), config, torch.Generator().manual_seed(1))
    changed = meant - runs["s"][:, :2]
    heard = model["plan"].model.rollout(runs["s"], other, z).mean(0)[:, -1, :2]
    return {
        "blurred_error": off["blurred"].item(),
        "best_error": off["best"].item(),
        "futures_gain": 100 * (1 - off["best"] / off["blurred"]).item(),
        "futures_spread": drawn.std(0).mean().item(),
        "unheard": 100
        * ((heard - meant).square().mean(0) / changed.square().mean(0).clamp_min(1e-9)).mean().sqrt().item(),
    }


def _doubts(model: Any, config: Config, runs: dict[str, Tensor]) -> dict[str, float]:
    """Whether doubt about what a moment costs has anything to do with being wrong about it."""
    plan, z = model["plan"], _drawn(len(runs["s"]), config, torch.Generator().manual_seed(2))
    now, last = plan.imagine(runs["s"], runs["a"], z)
    costs = plan.costs(now, last, runs["a"], {})[..., 1:]
    came = plan.cost(s=runs["y"][:, :-1])
    wrong = (costs.mean(0) - came).abs()
    return {"doubt_correlation": rank_correlation(costs.var(0, correction=0).flatten(), wrong.flatten())}


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, bars, lines
    from ...report.road import moments, telling

    runs = _some(data.extra["test"], 300)
    drawn = _samples(model, config, runs, 10)
    blurred = model["blurred"].model.rollout(runs["s"], runs["a"])[0]
    off = {
        name: (value[..., AHEAD] - runs["y"][..., AHEAD]).abs().mean(-1)
        for name, value in (("z", drawn), ("blurred", blurred))
    }
    ahead = torch.arange(1, config.horizon + 1) * 0.1 * config.frames
    errors = {
        "without z": off["blurred"].mean(0),
        "best of ten z": off["z"].amin(0).mean(0),
        "any z": off["z"].mean((0, 1)),
    }
    found = _driven(model, dataclasses.replace(config, judged=min(config.judged, SHOWN)))
    shown = {f"{name}_success": words for name, words in zip(POLICIES, WORDS, strict=True)}
    through = {words: found[name] for name, words in shown.items()}
    return [
        Picture("What the others may do", "Orange: the car. Blue: its neighbours; thin lines: where ten z take them, seen from it; red: "
                "where a model without z does; rings: where they were. Beside it: cars that get through recordings nobody learnt from, of "
                f"{SHOWN}.", moments(telling(runs, blurred, drawn), through, config.lanes, config.lane)),
        Picture("Cars that get through", f"Of {SHOWN} cars of recordings that nobody learnt from; all others do what they did.",
                bars(through, unit="%")),
        Picture("How far it sees", "Neighbours' places along the road.",
                lines(ahead, errors, xlabel="seconds ahead", ylabel="metres off")),
    ]  # fmt: skip


_HIGHWAY = "highway-env scenes that were not watched"
register(
    System(
        name="driving",
        title="Drive in dense traffic, having only watched: a policy that learns inside a model of what cannot be foreseen",
        rows=("R70",),
        paper="Henaff, Canziani & LeCun 2019",
        config=Config,
        presets={
            "smoke": {
                "scenes": 1, "cars": 8, "seconds": 6.0, "hidden": 8, "z": 2, "masks": 2, "ahead": 2, "steps": 5,
                "policy_steps": 3, "starts": 2, "horizon": 5, "judged": 2, "uncertainty": 0.01,
            },
        },
        build=build,
        settle=settle,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        agent=act,
        surroundings=surroundings,
        main="plan",
        observed="s",
        unknown="a",
        metrics=(
            Metric("policy_success", "higher", gate=70.0, gate_source="own; the paper has about 75", unit="%",
                   about=f"cars that get through {_HIGHWAY}, with doubt"),
            Metric("averaged_success", "higher", unit="%", about="without doubt, in the mean of the model's versions"),
            Metric("careless_success", "higher", unit="%", about="without doubt, in the model with all its units, one version"),
            Metric("averaged_share", "lower", gate=50.0, gate_source="own, twice as many with doubt", unit="%",
                   about="its successes, of those with doubt"),
            Metric("careless_share", "lower", gate=50.0, gate_source="own, twice as many with doubt", unit="%",
                   about="its successes, of those with doubt"),
            Metric("plain_success", "higher", unit="%", about="of a policy learnt in one model without z or dropout"),
            Metric("cloned_success", "higher", unit="%", about="of the policy that copies drivers"),
            Metric("policy_metres", "higher", unit="m", about="mean distance, with doubt"),
            Metric("averaged_metres", "higher", unit="m", about="mean distance, versions without doubt"),
            Metric("careless_metres", "higher", unit="m", about="mean distance, one version without doubt"),
            Metric("plain_metres", "higher", unit="m", about="mean distance, learnt without z or dropout"),
            Metric("cloned_metres", "higher", unit="m", about="mean distance of the copy"),
            Metric("recorded_metres", "higher", unit="m", about="mean distance of the recorded drivers"),
            Metric("blurred_error", "lower", unit="m", about="neighbours' places at the end of the horizon, model without z"),
            Metric("best_error", "lower", unit="m", about="the best of ten z"),
            Metric("futures_gain", "higher", gate=0.0, gate_source="own", unit="%", about="by how much the best of ten z is nearer"),
            Metric("futures_spread", "higher", unit="m", about="deviation of neighbours' places over z"),
            Metric("unheard", "lower", gate=20.0, gate_source="own", unit="%",
                   about="error of one's own place and speed when doing what somebody else did, of their change"),
            Metric("doubt_correlation", "higher", gate=0.5, gate_source="own", about="rank correlation of doubt and error of the cost"),
        ),
    )
)  # fmt: skip
