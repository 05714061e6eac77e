"""Learn the world from recordings of it, and plan there: a model, what things cost, how sure one may be, and a policy.

    s[t+1] = s[t] + δ ⊙ net_m(s[t], a[t])                          m: a member of an ensemble
    C(s, a) ≈ minus the reward                                       learnt too: nothing of the environment is known
    E(s, a) = mean over m Σ_t C(s[t], a[t]) + u Σ_t U[t]             U: by how much the members disagree, beyond what is usual
    policy  = argmin_π Σ_s E(s, π)                                  the same energy, lowered once and for all

Recordings are all there is: the environment is never asked while anything is learnt, and what is far from them is to be doubted.

Training: ½‖(y − g(s, a))/δ‖² and ½((r + C(s, a))/d)² over single steps (strategy C1: Gaussians of fixed width), Adam, rate falling to
    zero. The policy: its plan's energy, doubt included, over recorded states, by the slope through 20 steps of the model.
No collapse: what came next and what it brought are given; both energies are quadratic in what is predicted.
Sources: Chua et al., Deep Reinforcement Learning in a Handful of Trials, NeurIPS 2018, for ensembles; Henaff, Canziani & LeCun,
    Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, for a policy from recordings alone and for U.
Differences: 1. An ensemble whose members differ in where they start and in which half of the steps they see, for versions that dropout
    makes. 2. Vectors, for pictures.
Expect: of Pendulum-v1, 48 episodes of random actions, seed 0: a next state wrong by 3 % of a usual change, the state after 20 steps by 10 %
    of its change; a return of −128 by planning and −158 by the policy, where recordings have −1310; a policy that answers 10,000 × sooner
    at 1.1 % more energy. States five deviations off are always doubted more. About six minutes of one core.
Known failure: the rank correlation of doubt and error is 0.47; on other recordings it was 0.54 and 0.57. Half of the steps for each member
    and ten members rather than five raise it, and make the model a little worse; the cost's own error is in no member's doubt. That an
    environment ends an episode is not learnt: where falling over costs nothing but the rest, say so in the rewards.

Your own environment: ``lowland train world_model --data episodes/``, where episodes/ holds files as `lowland.data.episodes` describes
them (`lowland.environments.record` writes them), then ``lowland plan RUN Your-v0``, with ``--policy`` by the policy.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...data import Episodes, read_episodes
from ...energy import Driven, Forecast, Rollout
from ...errors import DataError, UsageError
from ...inference import ICEM, RecedingHorizon, policy_beside_planning
from ...nets import CostForecast, Dynamics, LearntCost, Policy
from ...objectives import EnergyLoss, auroc, rank_correlation
from ...spaces import Box, Real
from ...system import Data, Metric, System, register
from ...train import Player, linear_decay

#: Every fifth episode is kept for judging.
KEPT = 5
#: First seeds of the starts: those of recordings made here, those where the plans are tried out.
RECORD, JUDGE = 1_000, 200_000
#: How far outside states are, in deviations of the recorded ones, when it is tested whether they are doubted.
OUTSIDE = 5.0


@dataclass(frozen=True)
class Config:
    """What is recorded, learnt and planned."""

    data: str = "Pendulum-v1"
    """A file or a folder of episodes, or the id of an environment to record random actions in."""
    states: int | None = None
    """Numbers in a state; as in the data by default."""
    actions: int | None = None
    """Numbers in an action; as in the data by default."""
    low: float | None = None
    """Least number that a plan may have in an action; by default the least that was recorded."""
    high: float | None = None
    """Greatest number that a plan may have in an action; by default the greatest that was recorded."""
    episodes: int = 60
    """Episodes that are recorded, where the data is an environment."""
    hold: float = 5.0
    """Steps for which a random action is kept, on average."""
    jump: float = 100.0
    """A change of a state by more than so many usual ones is taken for a gap in the recording."""
    members: int = 10
    """Networks of the ensemble."""
    share: float = 0.5
    """Part of the recorded steps that a member learns from; each has drawn its own."""
    hidden: int = 64
    """Units of each hidden layer."""
    steps: int = 5000
    """Steps of training of the model and the cost."""
    rate: float = 2e-3
    """Adam's, at the start; it falls to zero."""
    horizon: int = 20
    """Steps of a plan."""
    uncertainty: float = 0.1
    """Weight of the uncertainty cost, in units of reward per deviation from the usual doubt."""
    population: int = 60
    """Candidates of iCEM's first step."""
    searches: int = 4
    """Steps of iCEM for each action."""
    policy_steps: int = 1500
    """Steps of training of the policy."""
    judged: int = 20
    """Episodes in which the plans are tried out, where the environment of the recordings is at hand."""


def settle(config: Config) -> Config:
    """The spaces, as the recordings have them."""
    if _spaces(config) is not None:
        return config
    if Path(config.data).exists():
        found = read_episodes(config.data)
        if found.s.ndim != 2 or found.a.ndim != 2 or not found.a.is_floating_point():
            raise DataError(
                f"{config.data}: wanted states and actions that are vectors of real numbers, got states of shape "
                f"{tuple(found.s.shape[1:])} and actions of shape {tuple(found.a.shape[1:])}, {found.a.dtype}: flatten pictures, "
                "and give numbered actions as numbers of a box."
            )
        config = dataclasses.replace(config, data=str(Path(config.data).absolute()))
        seen = {
            "states": found.s.shape[1], "actions": found.a.shape[1], "low": found.a.min().item(), "high": found.a.max().item(),
        }  # fmt: skip
    else:
        state, action = _spaces_there(config.data)
        seen = {
            "states": state.shape.numel(), "actions": action.shape.numel(), "low": float(action.low), "high": float(action.high),
        }  # fmt: skip
    given = {name: value for name in seen if (value := getattr(config, name)) is not None}
    return dataclasses.replace(config, **{**seen, **given})


def _spaces_there(name: str) -> tuple[Any, Box]:
    from ...environments import make, spaces_of

    try:
        world = make(name)
    except UsageError as error:
        raise UsageError(f"data {name}: wanted a file or a folder of episodes, or an environment. {error}") from error
    state, action = spaces_of(world)
    world.close()
    if len(state.shape) != 1 or not isinstance(action, Box) or len(action.shape) != 1:
        raise UsageError(
            f"{name}: wanted states and actions that are vectors of real numbers, got {state!r} and {action!r}."
        )
    return state, action


def _spaces(config: Config) -> tuple[Real, Box] | None:
    """Of states and actions, where the configuration says all of them."""
    if config.states is None or config.actions is None or config.low is None or config.high is None:
        return None
    return Real(config.states), Box(config.low, config.high, config.actions)


def build(config: Config) -> nn.ModuleDict:
    spaces = _spaces(config) or _spaces(settle(config))
    if spaces is None:
        raise UsageError(f"world_model: {config.data} says nothing of the spaces of states and actions.")
    state, action = spaces
    model = Dynamics(state, action, (config.hidden, config.hidden), members=config.members)
    cost = LearntCost(state, action, (config.hidden, config.hidden))
    plan = Rollout(model, cost, config.horizon, uncertainty=config.uncertainty)
    return nn.ModuleDict({"plan": plan, "policy": Driven(plan, Policy(state, action))})


def data(config: Config) -> Data:
    path = Path(config.data)
    if path.exists():
        found = read_episodes(path)
        source = {"split": "as recorded", "samples": len(found.a), "sha256": {}}
    else:
        from ...environments import RandomActions, record

        agent = RandomActions(_spaces_there(config.data)[1], torch.Generator().manual_seed(0), config.hold)
        found = record(config.data, agent, config.episodes, seed=RECORD)
        source = {"split": "random actions", "samples": len(found.a), "sha256": {}}
    found.check_jumps(config.jump)
    kept = torch.arange(len(found.lengths)) % KEPT == KEPT - 1
    if not bool(kept.any()):
        raise DataError(
            f"{config.data}: wanted at least {KEPT} episodes, of which every {KEPT}th judges, got {len(kept)}."
        )
    train, test = found.select(~kept), found.select(kept)
    for part in (train, test):
        part.windows(config.horizon)  # says how long the longest is, if that is too short for a plan
    return Data(
        train.transitions(), test=test.transitions(), sources={path.name: source}, extra={"train": train, "test": test}
    )


def train(model: Any, config: Config, data: Data, trainer: Any) -> None:
    plan, policy, objective = model["plan"], model["policy"], EnergyLoss()
    forecast, costs = Forecast(plan.model), CostForecast(plan.cost)
    steps, runs = dict(data.train), data.extra["train"].windows(config.horizon)
    drawn = torch.rand(len(steps["a"]), config.members, generator=torch.Generator().manual_seed(0)) < config.share
    steps["weight"] = drawn / config.share  # of each step for each member

    def units() -> None:
        plan.model.fit_scale(steps["s"], steps["a"], steps["y"])
        plan.cost.fit_scale(steps["s"], steps["a"], steps["reward"])
        policy.policy.fit_scale(steps["s"])

    def loss(batch: dict[str, Tensor]) -> Tensor:
        wrong = forecast.of_versions(batch["s"], batch["a"].unsqueeze(1), batch["y"].unsqueeze(1))
        known = {name: batch[name] for name in costs.spaces}
        return (batch["weight"].T * wrong).mean() + objective(costs, known).value

    def adam(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=config.rate)

    trainer.once("units", units)
    trainer.fit("model", Player("model", plan, loss, adam, linear_decay), steps, steps=config.steps, batch_size=256)
    trainer.once("doubts", lambda: plan.calibrate(runs["s"], runs["a"]))
    trainer.fit(
        "policy",
        Player("policy", policy, lambda batch: objective(policy, batch), adam, linear_decay, clip=10.0),
        {"s": steps["s"]},
        steps=config.policy_steps,
        batch_size=128,
    )


def agent(plan: Rollout, config: Config) -> RecedingHorizon:
    """iCEM, from where its last plan goes on."""
    return RecedingHorizon(plan, _solver(config), config.searches, generator=torch.Generator().manual_seed(0))


def _solver(config: Config) -> ICEM:
    return ICEM(config.population, max(config.population // 6, 1))


def act(model: Any, config: Config, environment: str, policy: bool) -> Any:
    """Who acts for ``lowland plan``, anywhere: whether it fits is seen there."""
    from ...environments import Follow

    return Follow(model["policy"].policy) if policy else agent(model["plan"], config)


# --- judging ----------------------------------------------------------------------------------------------------------------


def evaluate(model: Any, config: Config, data: Data) -> dict[str, float]:
    plan, runs = model["plan"], _runs(data.extra["test"], config)
    s, a = runs["s"], runs["a"]
    off = plan.model.rollout(s, a).mean(0) - runs["y"]
    still = (runs["y"][:, -1] - s).square().mean(0).sqrt().clamp_min(1e-6)
    now, last = plan.imagine(s, a)
    costs = plan.costs(now, last, a, {})
    wrong, doubt = (costs.mean(0) + runs["reward"]).abs(), costs.var(0, correction=0)
    far = s + OUTSIDE * s.std(0) * torch.randn(s.shape, generator=torch.Generator().manual_seed(0)).sign()
    steps = data.test
    missed = plan.cost(s=steps["s"], a=steps["a"]) + steps["reward"]
    followed = policy_beside_planning(
        model["policy"], _solver(config), s[:50], steps=config.searches, reference=ICEM(300, 30), reference_steps=10,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return {
        "step_error": 100 * (off[:, 0] / plan.model.scale).square().mean().sqrt().item(),
        "horizon_error": 100 * (off[:, -1] / still).square().mean().sqrt().item(),
        "cost_error": 100 * (missed.square().mean().sqrt() / steps["reward"].std().clamp_min(1e-6)).item(),
        "doubt_correlation": rank_correlation(doubt.flatten(), wrong.flatten()),
        "outside_doubted": 100 * auroc(doubt.sum(-1), plan.doubt(far, a).sum(-1)),
        "policy_speed": followed.speed,
        "policy_extra_energy": 100 * followed.extra,
        **_acted(model, config, data.extra["test"]),
    }


def _runs(episodes: Episodes, config: Config) -> dict[str, Tensor]:
    """A thousand runs as long as a plan, from all over the episodes."""
    runs = episodes.windows(config.horizon)
    order = torch.randperm(len(runs["s"]), generator=torch.Generator().manual_seed(0))[:1000]
    return {name: value[order] for name, value in runs.items()}


def _acted(model: Any, config: Config, recorded: Episodes) -> dict[str, float]:
    """Mean returns: as recorded; by planning and by the policy, where the environment is at hand, else as recorded again."""
    from ...environments import make, record

    own = recorded.returns.mean().item()
    found, name = (
        {"recorded_return": own, "acted_return": own, "policy_return": own},
        recorded.about.get("environment", ""),
    )
    try:
        make(name).close()
    except UsageError:
        return found
    for figure, policy in (("acted_return", False), ("policy_return", True)):
        found[figure] = record(name, act(model, config, name, policy), config.judged, seed=JUDGE).returns.mean().item()
    return found


def figures(model: Any, config: Config, data: Data) -> list[Any]:
    from ...report import Picture, lines, scatter

    plan, runs = model["plan"], _runs(data.extra["test"], config)
    imagined = plan.model.rollout(runs["s"], runs["a"])
    off = (imagined.mean(0) - runs["y"]).square().sum(-1).mean(0).sqrt()
    spread = imagined.var(0, correction=0).sum(-1).mean(0).sqrt()
    still = (runs["y"] - runs["s"].unsqueeze(1)).square().sum(-1).mean(0).sqrt()
    now, last = plan.imagine(runs["s"], runs["a"])
    costs = plan.costs(now, last, runs["a"], {})
    doubt, wrong = costs.var(0, correction=0)[:, 1:].flatten(), (costs.mean(0) + runs["reward"])[:, 1:].flatten().abs()
    pairs = torch.stack([doubt.clamp_min(1e-9).log10(), wrong.clamp_min(1e-6).log10()], 1)[::20]
    longest = int(data.extra["test"].lengths.argmax())
    one = data.extra["test"].episode(longest)
    times = torch.arange(0, len(one.a) - config.horizon, config.horizon)
    shown = {"recorded": one.s[: len(times) * config.horizon + 1, 0]}
    dreams = torch.full_like(shown["recorded"], torch.nan)
    for t in times.tolist():
        future = plan.model.rollout(one.s[t], one.a[t : t + config.horizon]).mean(0)
        dreams[t + 1 : t + config.horizon] = future[:-1, 0]
    ahead = torch.arange(1, config.horizon + 1)
    seen = f"The first number of a state in a recording nobody learnt from, and imagined anew every {config.horizon} steps."
    return [
        Picture("What it imagines", seen,
                lines(torch.arange(len(dreams)), {**shown, "imagined": dreams}, xlabel="step", ylabel="state")),
        Picture("How far the model sees", "Mean error of the imagined state in recordings that were kept, by how much the members of "
                "the ensemble differ, and what it is to say that nothing changes.",
                lines(ahead, {"error": off, "doubt": spread, "nothing changes": still}, xlabel="steps ahead",
                      ylabel="distance of states", log=True)),
        Picture("Doubt and error", "Each point is an imagined step: what the members disagree about is what they get wrong.",
                scatter(pairs, xlabel="doubt, log₁₀", ylabel="error of the imagined cost, log₁₀")),
    ]  # fmt: skip


register(
    System(
        name="world_model",
        title="Learn the world from recordings of it, and plan there",
        rows=("R69",),
        paper="Chua et al. 2018; Henaff, Canziani & LeCun 2019",
        config=Config,
        presets={
            "smoke": {
                "episodes": 5, "members": 2, "hidden": 8, "steps": 5, "horizon": 3, "population": 6, "searches": 1, "policy_steps": 5,
                "judged": 1,
            },
        },
        build=build,
        settle=settle,
        data=data,
        train=train,
        evaluate=evaluate,
        figures=figures,
        agent=act,
        main="plan",
        observed="s",
        unknown="a",
        metrics=(
            Metric("step_error", "lower", unit="%", about="of the next state, of a usual change"),
            Metric("horizon_error", "lower", gate=20.0, gate_source="own", unit="%", about="of the state a plan ends in, of its change"),
            Metric("cost_error", "lower", unit="%", about="of the cost, of the deviation of rewards"),
            Metric("doubt_correlation", "higher", gate=0.5, gate_source="own", about="rank correlation of doubt and error, step by step"),
            Metric("outside_doubted", "higher", gate=95.0, gate_source="own", unit="%", about="states five deviations off doubted more"),
            Metric("policy_speed", "higher", gate=100.0, gate_source="own", unit="×", about="planning time over the policy's"),
            Metric("policy_extra_energy", "lower", gate=10.0, gate_source="own", unit="%", about="its plan's energy above the best plan's"),
            Metric("recorded_return", "higher", about="mean return of the held-out recordings"),
            Metric("acted_return", "higher", gate=-200.0, gate_source="own, as PETS", about="by planning, where it can be tried"),
            Metric("policy_return", "higher", about="by the policy, where it can be tried"),
        ),
    )
)  # fmt: skip
