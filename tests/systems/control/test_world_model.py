"""A world model of a user's own recordings, from files to acting; that it runs at all is tested with the gallery."""

import dataclasses
import json

import pytest
import torch

from lowland.cli import main
from lowland.environments import Follow, RandomActions, record
from lowland.errors import DataError, UsageError
from lowland.inference import RecedingHorizon
from lowland.spaces import Box
from lowland.system import find
from lowland.systems.control.world_model import Config, act, build, data, settle
from lowland.train import Settings, execute

pytest.importorskip("gymnasium")

OURS = "lowland/CartPoleSwingUp-v0"
SMALL = {
    "members": 2,
    "hidden": 8,
    "steps": 5,
    "horizon": 3,
    "population": 6,
    "searches": 1,
    "policy_steps": 5,
    "judged": 1,
}


@pytest.fixture
def folder(tmp_path):
    """Recordings of somebody's cart-pole, pushed at most by half."""
    agent = RandomActions(Box(-0.5, 0.5, 1), torch.Generator().manual_seed(0))
    for seed in (0, 3):
        record(OURS, agent, 3, steps=20, seed=seed).save(tmp_path / "episodes" / f"from_{seed}.safetensors")
    return tmp_path / "episodes"


def test_from_recordings_of_ones_own_to_acting(folder, tmp_path, capsys):
    system = find("world_model")
    run = execute(system, Config(data=str(folder), **SMALL), Settings(), out=tmp_path / "run", shown=False)
    assert (run.config.states, run.config.actions) == (5, 1)
    assert -0.5 <= run.config.low < -0.3 and 0.3 < run.config.high <= 0.5
    for path in folder.iterdir():
        path.unlink()  # a run needs its recordings no more
    words = ["plan", str(tmp_path / "run"), OURS, "--episodes", "2", "--steps", "4", "--json"]
    for more in ([], ["--policy"]):
        assert main([*words, *more]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["steps"] == 8 and 0 <= said["outside"] <= 100
    assert main(["plan", str(tmp_path / "run"), "Pendulum-v1", "--policy"]) == 2
    assert "Real(3)" in capsys.readouterr().err


def test_an_environment_is_settled_by_its_spaces_and_what_is_asked_for_stays():
    found = settle(Config(high=1.0))
    assert (found.states, found.actions, found.low, found.high) == (3, 1, -2.0, 1.0)
    assert settle(found) == found
    model = build(found)
    assert model["plan"].model.action == Box(-2.0, 1.0, 1)
    assert isinstance(act(model, found, "anything", False), RecedingHorizon)
    assert isinstance(act(model, found, "anything", True), Follow)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nowhere/", "a file or a folder of episodes, or an environment"), ("CartPole-v1", "Categorical")],
)
def test_what_is_neither_recordings_nor_an_environment_of_vectors_is_refused(name, complaint):
    with pytest.raises(UsageError, match=complaint):
        settle(Config(data=name))


def test_recordings_that_can_not_be_learnt_from_are_named(folder, tmp_path):
    config = settle(Config(data=str(folder), **SMALL))
    with pytest.raises(DataError, match="windows of 30 steps, but the longest episode has 20"):
        data(dataclasses.replace(config, horizon=30))
    with pytest.raises(DataError, match="jumps at step"):
        data(dataclasses.replace(config, jump=0.5))
    few = record(OURS, RandomActions(Box(-1, 1, 1), torch.Generator()), 2, steps=5).save(tmp_path / "few.npz")
    with pytest.raises(DataError, match="at least 5 episodes"):
        data(dataclasses.replace(config, data=str(few)))
    numbered = record(OURS, Follow(lambda s: torch.zeros(len(s), 1)), 1, steps=3)
    path = dataclasses.replace(numbered, a=numbered.a.long()).save(tmp_path / "numbered.npz")
    with pytest.raises(DataError, match="int64"):
        settle(Config(data=str(path)))
