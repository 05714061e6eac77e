"""``lowland plan``: what happened is written down, drawn and reported; what does not fit is one sentence."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lowland.cli import main
from lowland.data import read_episodes
from lowland.energy import Function, KnownModel, Rollout
from lowland.environments import Follow
from lowland.errors import UsageError
from lowland.inference import CEM, RecedingHorizon
from lowland.nets import Dynamics
from lowland.spaces import Box, Real
from lowland.system import find

pytest.importorskip("gymnasium")

OURS = "lowland/CartPoleSwingUp-v0"


def act(module, config, environment, policy):
    """Plans for the cart-pole in a world where nothing moves; does nothing, as a policy."""
    if environment != OURS:
        raise UsageError(f"small plans for {OURS}, not for {environment}.")
    return Follow(lambda s: torch.zeros(len(s), 1)) if policy else RecedingHorizon(module, CEM(6, 2), steps=1)


@pytest.fixture
def model(monkeypatch):
    """A planner that has learnt nothing, in place of what a run's folder would give."""
    state = Real(5)
    world = KnownModel(lambda s, a: s, state, Box(-1, 1, 1))
    plan = Rollout(world, Function(lambda s: s[:, 0], s=state), 2)
    system = dataclasses.replace(find("linear"), agent=act)
    model = SimpleNamespace(system=system, config=None, module=plan, energies={})
    monkeypatch.setattr("lowland.train.load", lambda folder, device="cpu": model)
    return model


def test_episodes_are_written_drawn_and_reported(tmp_path, capsys, model):
    words = ["plan", str(tmp_path), OURS, "--episodes", "2", "--steps", "4"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = tmp_path / "plans" / "lowland_CartPoleSwingUp-v0"
    episodes = read_episodes(folder / "episodes.safetensors")
    assert episodes.lengths.tolist() == [4, 4] and said["success"] == 0
    assert said["return"] == pytest.approx(episodes.returns.mean().item(), abs=1e-4)
    assert said["worst"] <= said["return"] <= said["best"]
    for name in ("best", "worst"):
        with Image.open(folder / f"{name}.gif") as film:
            assert film.n_frames > 1
    page = (folder / "report.html").read_text()
    assert page.count("data:image/gif;base64,") == 2 and "The worst episode" in page
    assert main(words) == 0
    assert "2 episodes, 8 steps: 0 % successes" in capsys.readouterr().out


def test_the_policy_acts_where_it_is_asked_to(tmp_path, capsys, model):
    assert main(["plan", str(tmp_path), OURS, "--policy", "--episodes", "2", "--steps", "3", "--json"]) == 0
    episodes = read_episodes(json.loads(capsys.readouterr().out)["episodes_file"])
    assert (episodes.a == 0).all() and episodes.about["agent"] == "Follow"


def test_a_model_that_is_asked_outside_its_data_says_so(tmp_path, capsys, model):
    """The members agree about slow carts, as recorded, and about nothing else."""
    state, action = Real(5), Box(-0.5, 0.5, 1)
    world = Dynamics(state, action, members=3)
    for weight in world.weights:
        weight.data.mul_(3)
    plan = Rollout(world, Function(lambda s: s[:, 0], s=state), 2)
    model.module = plan
    words = ["plan", str(tmp_path), OURS, "--episodes", "2", "--steps", "4"]
    plan.usual[0], plan.usual[1] = 0, 1e-6
    assert main(words) == 0 and "was asked outside" in capsys.readouterr().out
    plan.usual[0] = 1e6
    assert main([*words, "--json"]) == 0 and json.loads(capsys.readouterr().out)["outside"] == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([OURS, "--episodes", "0"], "--episodes: wanted at least 1"),
        (["CartPole-v1"], "not for CartPole-v1"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, capsys, model, words, complaint):
    assert main(["plan", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1


def test_another_environments_spaces_are_refused(tmp_path, capsys, model):
    small = Rollout(KnownModel(lambda s, a: s, Real(3), Box(-1, 1, 1)), Function(lambda s: s[:, 0], s=Real(3)), 2)
    model.module = small
    assert main(["plan", str(tmp_path), OURS]) == 2
    said = capsys.readouterr().err
    assert "Real(5)" in said and "Real(3)" in said
    wide = Rollout(KnownModel(lambda s, a: s, Real(5), Box(-3, 3, 1)), Function(lambda s: s[:, 0], s=Real(5)), 2)
    model.module = wide
    assert main(["plan", str(tmp_path), OURS]) == 2
    assert "Box(-3" in capsys.readouterr().err
    model.system = dataclasses.replace(model.system, agent=None)
    assert main(["plan", str(tmp_path), OURS]) == 2
    assert "does not act" in capsys.readouterr().err
