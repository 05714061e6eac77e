"""What is particular to the system that foresees followers; that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland.data.following import following_runs, made_up_pair
from lowland.errors import DataError
from lowland.nets import IntelligentDriver
from lowland.system import Data, find
from lowland.systems.control.car_following import Config, answers, build, data, evaluate
from lowland.train import Settings, execute


def write(path, pairs):
    rows = ["time,pair,spacing,speed,leader_speed"]
    for number, pair in enumerate(pairs):
        rows += [f"{frame / 10},{number},{row[0]},{row[1]},{row[3]}" for frame, row in enumerate(pair.tolist())]
    path.write_text("\n".join(rows))
    return path


def test_a_follower_at_constant_speed_is_foreseen_by_who_says_so():
    seconds = torch.arange(100) / 10
    still = torch.zeros(100)
    runs = following_runs([torch.stack([20 + 2 * seconds, 8 + still, still, 10 + still, still, 10 * seconds], 1)])
    model = build(Config()).eval()
    found = evaluate(model, Config(), Data({}, test=runs))
    assert found["constant_error"] == pytest.approx(0, abs=1e-3) and found["intelligent_error"] > 0.5
    off = answers(model, runs)[..., -1] - runs["y"][:, -1, 0]
    nearest = torch.stack([one[one.abs().argmin()] for one in off.unbind(1)])
    assert found["best_error"] == pytest.approx(nearest.square().mean().sqrt().item())
    assert found["error"] == pytest.approx(off.mean(0).square().mean().sqrt().item())


def test_answers_differ_by_their_z_alone_and_are_the_same_each_time():
    model, runs = build(Config(z=2)).eval(), following_runs([made_up_pair(1)])
    first = answers(model, runs)
    assert first.shape == (10, len(runs["s"]), 10) and first.std(0).min() > 0
    torch.testing.assert_close(answers(model, runs), first)
    assert isinstance(model["intelligent"].model, IntelligentDriver)


def test_from_a_file_of_ones_own_to_figures(tmp_path):
    path = write(tmp_path / "pairs.csv", [made_up_pair(seed) for seed in range(5)])
    run = execute(
        find("car_following"), Config(data=str(path), steps=30), Settings(), out=tmp_path / "run", shown=False
    )
    figures = {metric["name"]: metric["value"] for metric in run.result["metrics"]}
    assert 0 < figures["intelligent_error"] < figures["constant_error"]  # by whose law they drive
    assert run.result["data"]["pairs.csv"]["samples"] == 5


def test_every_fifth_pair_judges_and_fewer_are_refused(tmp_path):
    path = write(tmp_path / "pairs.csv", [made_up_pair(seed) for seed in range(6)])
    found = data(Config(data=str(path)))
    assert len(found.train["s"]) == 5 * len(found.test["s"])
    torch.testing.assert_close(found.test["s"][:, 0], following_runs([made_up_pair(4)])["s"][:, 0], atol=1e-4, rtol=0)
    write(path, [made_up_pair(seed) for seed in range(4)])
    with pytest.raises(DataError, match="at least 5 pairs"):
        data(Config(data=str(path)))
