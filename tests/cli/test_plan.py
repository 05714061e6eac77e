"""``lowland plan``: what happened is written down, drawn and reported; what does not fit is one sentence."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from lowland.cli import main
from lowland.data import read_episodes
from lowland.system import find

pytest.importorskip("gymnasium")

OURS = "lowland/CartPoleSwingUp-v0"


@pytest.fixture
def model(monkeypatch):
    """A planner that has learnt nothing, in place of what a run's folder would give."""
    torch.manual_seed(0)
    system = find("pendulum_mpc")
    config = system.configure("smoke")
    model = SimpleNamespace(system=system, config=config, module=system.build(config))
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
    with torch.no_grad():
        for parameter in model.module["policy"].policy.parameters():
            parameter.zero_()
    assert main(["plan", str(tmp_path), "Pendulum-v1", "--policy", "--episodes", "2", "--steps", "3", "--json"]) == 0
    episodes = read_episodes(json.loads(capsys.readouterr().out)["episodes_file"])
    assert (episodes.a == 0).all() and episodes.about["agent"] == "Follow"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([OURS, "--episodes", "0"], "--episodes: wanted at least 1"),
        (["CartPole-v1"], "not for CartPole-v1"),
        ([OURS, "--policy"], "has a policy for Pendulum-v1"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, capsys, model, words, complaint):
    assert main(["plan", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1


def test_another_environments_spaces_are_refused(tmp_path, capsys, model, monkeypatch):
    system = SimpleNamespace(
        name="small", agent=lambda module, config, environment, policy: SimpleNamespace(energy=module["pendulum"])
    )
    model.system = system
    assert main(["plan", str(tmp_path), OURS]) == 2
    assert "Real(5)" in capsys.readouterr().err
    system.agent = None
    assert main(["plan", str(tmp_path), OURS]) == 2
    assert "does not act" in capsys.readouterr().err
