"""Driving: from a file of one's own to a policy that acts in what was kept of it; that it runs at all the gallery tests."""

import dataclasses
import json
import math

import pytest
import torch

from lowland.cli import main
from lowland.data import read_episodes
from lowland.data.traffic import EACH, OWN, SIGHT
from lowland.errors import DataError
from lowland.system import find
from lowland.systems.control.driving import Config, data
from lowland.train import Settings, execute

pytest.importorskip("gymnasium")

ENVIRONMENT = "lowland/TrafficReplay-v0"
SMALL = {
    "hidden": 8, "z": 2, "masks": 2, "ahead": 2, "steps": 5, "policy_steps": 3, "starts": 2, "judged": 2, "lanes": 2, "horizon": 5,
}  # fmt: skip


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
    _plans_in_what_was_kept(tmp_path, capsys)
    _plans_in_another_recording(tmp_path, capsys)


def _plans_in_what_was_kept(tmp_path, capsys):
    """Cars 6 and 7 of eight begin on the last quarter of the road, further on than 59 m; in the first lane and in the second."""
    words = ["plan", str(tmp_path / "run"), ENVIRONMENT, "--policy", "--episodes", "4", "--steps", "3", "--json"]
    assert main(words) == 0
    episodes = read_episodes(json.loads(capsys.readouterr().out)["episodes_file"])
    starts = torch.stack([episodes.episode(index).s[0] for index in range(4)])
    assert sorted(starts[:, 0].tolist()) == [2, 2, 6, 6]
    assert (starts[:, OWN + 2 * EACH] == SIGHT).all()  # nobody in front


def _plans_in_another_recording(tmp_path, capsys):
    other = tmp_path / "other.csv"
    rows = [f"{frame / 10},{car},{10 * frame / 10 + 9 * car},{3.1 + car}" for frame in range(60) for car in range(3)]
    other.write_text("\n".join(["time,vehicle,x,y", *rows]))
    words = ["plan", str(tmp_path / "run"), ENVIRONMENT, "--policy", "--episodes", "3", "--steps", "3", "--json"]
    assert main([*words, "--set", f"recording={other}", "--set", "lanes=3"]) == 0
    episodes = read_episodes(json.loads(capsys.readouterr().out)["episodes_file"])
    starts = [episodes.episode(index).s[0, 0].item() for index in range(3)]
    assert sorted(starts) == pytest.approx([3.1, 4.1, 5.1])  # all three of them
    for chosen, complaint in (
        ("recoding=x", "recoding"), ("lanes=many", "lanes: wanted a whole number, got 'many'"), ("lanes", "wanted OPTION=VALUE"),
        ("seed=3", "seed is no option"), (f"recording={tmp_path / 'nowhere.csv'}", "nowhere.csv"),
    ):  # fmt: skip
        assert main([*words, "--set", chosen]) != 0
        said = capsys.readouterr().err
        assert complaint in said and said.count("\n") == 1


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
