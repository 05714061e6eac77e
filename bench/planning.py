"""Planning: cross-entropy and path integrals through a small learnt world, beside torch-world, torchrl and a bare loop.

Horizon 12, 300 candidates, 30 elites, 10 iterations; the world is a network 6-64-64-4 that says how a state of 4 numbers changes
with an action of 2. The value beside the time is how far from the goal the plan ends: planners that do the same thing agree on it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from .timing import interleaved

STATE, ACTION, HORIZON = 4, 2, 12
POPULATION, ELITES, STEPS = 300, 30, 10
PROBLEMS, REPEATS = (1, 16), 7
#: (planner, peer, compiled) → how many times faster ours has to be.
TARGETS = {("CEM", "torch-world", True): 1.5, ("CEM", "torchrl", True): 5.0, ("MPPI", "torchrl", True): 5.0}

Planner = Callable[[], Tensor]


def run() -> list[dict[str, Any]]:
    """A line for each planner, peer, mode and number of problems; ``ratio`` is the peer's time over ours."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(STATE + ACTION, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, STATE)
    )
    network.requires_grad_(False)
    lines = []
    for problems in PROBLEMS:
        s, goal = torch.randn(problems, STATE), torch.randn(problems, STATE)
        contenders = {**ours(network, s, goal), **_bare(network, s, goal), **_torch_world(network, s, goal)}
        if problems == 1:  # its planners take one
            contenders |= _torchrl(network, s, goal)
        with torch.no_grad():
            times, plans = interleaved(contenders, REPEATS)
            left = {name: _left(network, s, goal, plan) for name, plan in plans.items()}
        lines += [
            _line(problems, planner, peer, compiled, times, left)
            for planner, peer in times
            for compiled in (False, True)
            if not peer.startswith("lowland")
        ]
    return lines


def _line(problems: int, planner: str, peer: str, compiled: bool, times: Any, left: Any) -> dict[str, Any]:
    mine = planner, "lowland compiled" if compiled else "lowland"
    target = TARGETS.get((planner, peer, compiled))
    ratio = times[planner, peer] / times[mine]
    notes = ["compiling takes a minute, once, and is not counted"] if compiled else []
    notes += ["its distance counts at every step, and it returns the first action alone"] if peer == "torchrl" else []
    ends = f"{left[mine]:.3f}" + ("" if peer == "torchrl" else f" and {left[planner, peer]:.3f}")
    return {
        "name": f"{planner}, {problems} problem{'s' if problems > 1 else ''}" + (", compiled" if compiled else ""),
        "ours": f"{1e3 * times[mine]:.1f} ms",
        "peer": f"{peer} {1e3 * times[planner, peer]:.1f} ms",
        "value": f"distance left {ends}",
        "ratio": ratio,
        "target": None if target is None else f"≥ {target}",
        "met": None if target is None else ratio >= target,
        "note": "; ".join(notes),
    }


def _left(network: nn.Module, s: Tensor, goal: Tensor, plan: Tensor) -> float:
    if plan.ndim < 3:
        return float("nan")
    for t in range(plan.shape[1]):
        s = s + network(torch.cat([s, plan[:, t]], -1))
    return (s - goal).norm(dim=-1).mean().item()


def ours(network: nn.Module, s: Tensor, goal: Tensor) -> dict[tuple[str, str], Planner]:
    """`lowland.inference.infer`, as it is and with its rollout compiled."""
    from lowland.energy import GoalDistance, Rollout
    from lowland.inference import CEM, MPPI, infer
    from lowland.nets import Dynamics
    from lowland.spaces import Real

    state, action = Real(STATE), Real(ACTION)
    model = Dynamics(state, action, (64, 64), nonlinearity=torch.relu).requires_grad_(False)
    for layer, linear in enumerate(part for part in network if isinstance(part, nn.Linear)):
        model.weights[layer].copy_(linear.weight.unsqueeze(0))
        model.biases[layer].copy_(linear.bias)
    energy = Rollout(model, None, HORIZON, final=GoalDistance(state))
    start = torch.zeros(len(s), HORIZON, ACTION)
    found: dict[tuple[str, str], Planner] = {}
    for name, solver in (("CEM", CEM(POPULATION, ELITES)), ("MPPI", MPPI(POPULATION))):
        for peer, compile in (("lowland", False), ("lowland compiled", True)):
            options = {"steps": STEPS, "compile": compile}
            found[name, peer] = lambda solver=solver, options=options: (
                infer(energy, "a", s=s, goal=goal, solver=solver, init=start, options=options).value
            )
    return found


def _bare(network: nn.Module, s: Tensor, goal: Tensor) -> dict[tuple[str, str], Planner]:
    """The shortest loop that one would write."""

    def plan() -> Tensor:
        first, aim = s.repeat_interleave(POPULATION, 0), goal.repeat_interleave(POPULATION, 0)
        mean, width = torch.zeros(len(s), 1, HORIZON, ACTION), torch.ones(len(s), 1, HORIZON, ACTION)
        for _ in range(STEPS):
            actions = mean + width * torch.randn(len(s), POPULATION, HORIZON, ACTION)
            now, each = first, actions.flatten(0, 1)
            for t in range(HORIZON):
                now = now + network(torch.cat([now, each[:, t]], -1))
            best = (now - aim).square().sum(-1).view(len(s), -1).topk(ELITES, largest=False).indices
            elites = actions[torch.arange(len(s))[:, None], best]
            mean, width = elites.mean(1, keepdim=True), elites.std(1, keepdim=True)
        return mean[:, 0]

    return {("CEM", "bare loop"): plan}


def _torch_world(network: nn.Module, s: Tensor, goal: Tensor) -> dict[tuple[str, str], Planner]:
    if not find_spec("torch_world"):
        return {}
    from torch_world.models.base import WorldModel
    from torch_world.planning import CEM

    class World(WorldModel):
        history = 1

        def predict(self, z: Tensor, actions: Tensor) -> Tensor:
            return z + network(torch.cat([z, actions], -1))

    world = World()
    planner = CEM(HORIZON, ACTION, num_samples=POPULATION, num_elites=ELITES, iterations=STEPS)
    return {("CEM", "torch-world"): lambda: planner(world, s[:, None], goal)}


def _torchrl(network: nn.Module, s: Tensor, goal: Tensor) -> dict[tuple[str, str], Planner]:
    if not find_spec("torchrl"):
        return {}
    from tensordict import TensorDict
    from tensordict.nn import TensorDictModule
    from torchrl.data import Composite, Unbounded
    from torchrl.envs.model_based import ModelBasedEnvBase
    from torchrl.modules import CEMPlanner, MPPIPlanner, ValueOperator, WorldModelWrapper
    from torchrl.objectives.value import TDLambdaEstimator

    class Next(nn.Module):
        def forward(self, state: Tensor, action: Tensor) -> Tensor:
            return state + network(torch.cat([state, action], -1))

    class Near(nn.Module):
        def forward(self, state: Tensor) -> Tensor:
            return -(state - goal).square().sum(-1, keepdim=True)

    class World(ModelBasedEnvBase):
        def __init__(self, model: nn.Module) -> None:
            super().__init__(model, device="cpu", batch_size=[])
            self.state_spec = Composite(state=Unbounded((STATE,)))
            self.observation_spec = Composite(state=Unbounded((STATE,)))
            self.action_spec = Unbounded((ACTION,))
            self.reward_spec = Unbounded((1,))

        def _reset(self, tensordict: Any) -> Any:
            return TensorDict({"state": s[0]}, batch_size=[])

        def _set_seed(self, seed: int | None) -> None:
            pass

    world = World(
        WorldModelWrapper(
            TensorDictModule(Next(), in_keys=["state", "action"], out_keys=["state"]),
            TensorDictModule(Near(), in_keys=["state"], out_keys=["reward"]),
        )
    )
    value = ValueOperator(nn.Linear(STATE, 1), in_keys=["state"])
    advantage = TDLambdaEstimator(gamma=0.99, lmbda=0.95, value_network=value)
    start = TensorDict({"state": s}, batch_size=[1])
    cem = CEMPlanner(world, HORIZON, STEPS, POPULATION, ELITES)
    mppi = MPPIPlanner(world, advantage, 1.0, HORIZON, STEPS, POPULATION, ELITES)
    return {
        ("CEM", "torchrl"): lambda: cem.planning(start),
        ("MPPI", "torchrl"): lambda: mppi.planning(start),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
