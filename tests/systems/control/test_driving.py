"""Driving: what it costs, what is read off recordings, and from a file of one's own to a policy; that it runs at all the gallery tests."""

import dataclasses
import json
import math

import pytest
import torch

from lowland.cli import main
from lowland.data.traffic import EACH, OWN, SIGHT, STATE
from lowland.errors import DataError
from lowland.nets import IntelligentDriver
from lowland.system import find
from lowland.systems.control.driving import Config, DrivingCost, _followed, _following, _pairs, build, data
from lowland.train import Settings, execute

pytest.importorskip("gymnasium")

ENVIRONMENT = "lowland/TrafficReplay-v0"
SMALL = {
    "hidden": 8, "z": 2, "masks": 2, "ahead": 2, "steps": 5, "policy_steps": 3, "judged": 2, "following": False, "lanes": 2,
    "horizon": 5,
}  # fmt: skip


def alone(y: float = 2.0, speed: float = 12.0) -> torch.Tensor:
    """Nobody is near, in a lane's middle, as fast as one wants."""
    s = torch.zeros(STATE)
    s[0], s[1] = y, speed
    s[OWN::EACH] = SIGHT * torch.tensor([1.0, -1.0] * 3)
    return s


def test_what_costs_nothing_and_what_does():
    cost, still = DrivingCost(), torch.zeros(2)
    assert cost(s=alone(), a=still).item() == pytest.approx(0, abs=1e-6)
    assert cost(s=alone(4.0), a=still).item() == pytest.approx(0.2, abs=1e-6)  # on a line
    assert cost(s=alone(0.0), a=still).item() == pytest.approx(0.2 + 5 * 1.5**2, rel=1e-5)  # half off the road
    assert cost(s=alone(speed=6.0), a=still).item() == pytest.approx(0.3 / 4, rel=1e-5)
    near = alone()
    near[OWN + 2 * EACH] = 5.0  # it touches the one in front
    assert cost.near(near).item() == pytest.approx(1.0, rel=1e-5)


def test_a_slope_leads_away_from_who_is_near():
    s = alone().requires_grad_()
    with torch.no_grad():
        s[OWN + 2 * EACH : OWN + 2 * EACH + 3] = torch.tensor([12.0, 0.5, -2.0])
    slope = torch.autograd.grad(DrivingCost().near(s), s)[0]
    along, across, faster = slope[OWN + 2 * EACH : OWN + 2 * EACH + 3]
    assert along < 0 and across < 0 and faster < 0 and slope[1] > 0  # further off, aside, not closing in, slower


def test_runs_of_followers_are_those_of_the_pair():
    pair = _pairs(Config(following=False), "train")[0]
    runs = _followed(pair)
    assert runs["s"].shape[1:] == (4,) and runs["a"].shape[1:] == (10, 1) and runs["y"].shape[1:] == (10, 4)
    torch.testing.assert_close(runs["y"][0, :, 0], pair[10:60:5, 0])
    torch.testing.assert_close(runs["s"][:, 2:3] + 0.5 * runs["a"].sum(1), runs["y"][:, -1, 2:3], atol=1e-4, rtol=0)


def test_a_follower_at_constant_speed_is_foreseen_by_who_says_so():
    frames = torch.arange(100) / 10
    pair = torch.stack([20 + 2 * frames, 8 + 0 * frames, 0 * frames, 10 + 0 * frames, 0 * frames, 10 * frames], 1)
    runs = _followed(pair)
    found = _following(build(Config(following=False)).eval(), runs)
    assert found["constant_error"] == pytest.approx(0, abs=1e-3) and found["intelligent_error"] > 0.5
    assert isinstance(build(Config())["intelligent"].model, IntelligentDriver)


@pytest.fixture
def road(tmp_path):
    """Eight cars in two lanes for seven seconds."""
    rows = ["time,vehicle,x,y"]
    for frame in range(71):
        for car in range(8):
            x = 20 * (car // 2) + (8 + 3 * (car % 2)) * frame / 10 + math.sin(frame / 8 + car)
            rows.append(f"{frame / 10},{car},{x},{2 + 4 * (car % 2)}")
    path = tmp_path / "road.csv"
    path.write_text("\n".join(rows))
    return path


def test_from_a_file_of_ones_own_to_a_policy_that_drives(road, tmp_path, capsys):
    run = execute(find("driving"), Config(data=str(road), **SMALL), Settings(), out=tmp_path / "run", shown=False)
    figures = {metric["name"]: metric["value"] for metric in run.result["metrics"]}
    assert figures["policy_metres"] > 0 and figures["recorded_metres"] > 40
    assert main(["plan", str(tmp_path / "run"), ENVIRONMENT]) == 2
    assert "--policy" in capsys.readouterr().err


def test_a_part_of_the_road_is_kept_for_judging(road):
    config = Config(data=str(road), **SMALL)
    found = data(config)
    assert len(found.test["s"]) == len(found.extra["train"]["s"]) / 3
    assert found.train["y"].shape[1] == 2 and found.extra["train"]["y"].shape[1] == 5
    with pytest.raises(DataError, match="at least 62 frames"):
        data(dataclasses.replace(config, horizon=60))
    lines = road.read_text().splitlines()
    road.write_text("\n".join(line for line in lines if not line.startswith("3.0,2,")))
    with pytest.raises(DataError, match=r"road.csv: .*vehicle 2 is missing for 0.1 s before 3.1 s"):
        data(config)


def test_the_policy_acts_in_the_replay(tmp_path, capsys):
    pytest.importorskip("highway_env")
    execute(
        find("driving"), find("driving").configure("smoke"), Settings(preset="smoke"), out=tmp_path / "run", shown=False
    )
    words = ["plan", str(tmp_path / "run"), ENVIRONMENT, "--policy", "--episodes", "2", "--steps", "6", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] <= 12 and said["return"] > 0 and 0 <= said["outside"] <= 100
    assert set(said["films"]) == {"best", "worst"}
