"""One car of a recording is driven, all others do what they did."""

import numpy as np
import pytest
import torch

from lowland.environments import Follow, make, record, replay

pytest.importorskip("gymnasium")

ENVIRONMENT = "lowland/TrafficReplay-v0"


@pytest.fixture
def road(tmp_path):
    """Two cars in each of two lanes, one lane's faster, for six seconds."""
    rows = ["time,vehicle,x,y,length,width"]
    for frame in range(61):
        for car, (x, y, speed) in enumerate([(0, 2, 8), (20, 2, 8), (0, 6, 12), (25, 6, 12)]):
            rows.append(f"{frame / 10},{car},{x + speed * frame / 10},{y},5,2")
    path = tmp_path / "road.csv"
    path.write_text("\n".join(rows))
    return {"recording": str(path), "lanes": 2}


def always(push: float, across: float) -> Follow:
    return Follow(lambda s: torch.tensor([push, across]).expand(len(s), 2))


def test_who_does_as_was_recorded_gets_as_far(road):
    found = record(ENVIRONMENT, always(0, 0), 4, **road)
    assert found.about["success"] == "1111" and not found.ended.any()
    assert found.lengths.tolist() == [29] * 4
    assert sorted(found.returns.tolist()) == pytest.approx([8 * 5.8, 8 * 5.8, 12 * 5.8, 12 * 5.8], rel=1e-3)


def test_who_brakes_is_hit_from_behind_and_who_turns_leaves_the_road(road):
    braked = record(ENVIRONMENT, always(-1, 0), 4, **road)
    assert braked.about["success"].count("0") == 2  # those with somebody behind them
    turned = record(ENVIRONMENT, always(0, -1), 4, **road)
    assert turned.about["success"] == "0000" and turned.ended.all() and turned.lengths.max() < 15


def test_a_car_can_be_driven_into_another_one(road):
    world = make(ENVIRONMENT, **road).unwrapped
    for seed in range(4):
        world.reset(seed=seed)
        if world.case.car == 0:
            break
    over, steps = False, 0
    while not over:
        _, _, over, late, info = world.step(np.array([1.0, 0.0], dtype=np.float32))
        steps += 1
        assert not late
    assert not info["success"] and world.touches() and not world.off_road()
    # 20 m ahead, 5 m long: 15 m = ½ a t², with a = 5 m/s², in steps of 0.2 s
    assert steps == pytest.approx(np.sqrt(2 * 15 / 5) / 0.2, abs=1.5)


def test_it_is_drawn_and_begins_where_its_seed_says(road):
    found = record(ENVIRONMENT, always(0, 0.1), 2, steps=3, seed=1, **road)
    again = record(ENVIRONMENT, always(0, 0.1), 1, steps=3, seed=2, **road)
    torch.testing.assert_close(found.episode(1).s, again.s)
    frames = replay(ENVIRONMENT, found, 0, **road)
    assert len(frames) == 4 and frames[0].shape[-1] == 3 and (frames[0] != frames[-1]).any()


def test_a_driven_scene_of_the_highway_is_the_same_again(tmp_path, monkeypatch):
    pytest.importorskip("highway_env")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    from lowland.environments.highway import record_highway

    first = record_highway(3, cars=4, seconds=1.0)
    kept = [path.name for path in tmp_path.rglob("*.safetensors")]
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    assert kept and torch.equal(record_highway(3, cars=4, seconds=1.0).x, first.x)
    assert not torch.equal(record_highway(4, cars=4, seconds=1.0).x, first.x)
    assert first.x.shape == (11, 4) and (first.x.diff(dim=0) > 0).all()
