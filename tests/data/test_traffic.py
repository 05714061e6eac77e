"""Recordings of traffic: what drivers see in them, and recordings that can't be right."""

import math

import numpy as np
import pytest
import torch

from lowland.data import Traffic, read_traffic
from lowland.data.traffic import EACH, LIMITS, OWN, SIGHT, STATE, seen
from lowland.errors import DataError

STEPS = torch.arange(30)[:, None]


def recording(**changes) -> Traffic:
    """Three cars in two lanes at 10 m/s, a tenth of a second a frame; the last one in the left lane, and faster."""
    x = torch.tensor([[0.0, 20.0, -10.0]]) + 0.1 * STEPS * torch.tensor([10.0, 10.0, 12.0])
    y = torch.tensor([6.0, 6.0, 2.0]).expand(30, 3)
    size = torch.ones(3)
    return Traffic(
        **{
            "x": x,
            "y": y,
            "length": 5 * size,
            "width": 2 * size,
            "names": ("7", "8", "9"),
            "seconds": 0.1,
            "lanes": 2,
            **changes,
        }
    )


def table(path, traffic: Traffic, skip=lambda frame, car: False, **columns):
    rows = ["time,vehicle,x,y"]
    for frame in range(len(traffic.x)):
        for car, name in enumerate(traffic.names):
            if not skip(frame, car):
                x, y = (float(part[frame, car]) for part in (traffic.x, traffic.y))
                rows.append(f"{frame / 10:.1f},{name},{x},{y}")
    path.write_text("\n".join(rows))
    return path


def test_a_driver_sees_the_next_ones_around_him():
    run = recording().runs(5)
    s = run["s"][0]
    assert s[:OWN].tolist() == pytest.approx([6.0, 10.0, 0.0], abs=1e-4)
    around = s[OWN:].unflatten(0, (6, EACH))
    assert around[1].tolist() == pytest.approx([-10 + 0.2, -4, 2, 0], abs=1e-3)  # behind, to the left
    assert around[2].tolist() == pytest.approx([20, 0, 0, 0], abs=1e-3)  # in front
    for empty, place in ((0, [SIGHT, -4]), (3, [-SIGHT, 0]), (4, [SIGHT, 4]), (5, [-SIGHT, 4])):
        assert around[empty].tolist() == pytest.approx([*place, 0, 0])
    assert len(run["s"]) == 3 * (30 - 5 - 1) and run["y"].shape[1:] == (5, STATE)


def test_neighbours_of_a_run_stay_the_same_ones():
    """One that overtakes goes from behind to in front in the same place of the state; who looks anew finds it elsewhere."""
    traffic = recording(x=torch.tensor([[0.0, 20.0, -9.0]]) + 0.1 * STEPS * torch.tensor([10.0, 10.0, 25.0]))
    run = traffic.runs(20)
    along = run["y"][0, :, OWN + EACH]
    assert along[0] < 0 < along[-1] and (along.diff() > 0).all()
    now = torch.stack([traffic.x[22], traffic.y[22], *(part[22] for part in traffic.speeds())], -1)
    again = seen(now[:1], now[1:], traffic.lane)[0]
    assert again[OWN + EACH] == -SIGHT and again[OWN] == pytest.approx(float(traffic.x[22, 2] - traffic.x[22, 0]))


def test_actions_take_a_car_where_it_was_recorded():
    push = 0.1 * torch.randn(40, 1, generator=torch.Generator().manual_seed(0))
    x = (10 + push.cumsum(0)).cumsum(0) * 0.1
    y = 4 + (0.05 * push).cumsum(0)
    traffic = Traffic(x, y, torch.ones(1), torch.ones(1), ("1",), 0.1)
    a, s = traffic.actions()[1:-1, 0] * torch.tensor(LIMITS), traffic.runs(1)["s"]
    speed = s[0, 1] + (a[:, 0] * 0.1).cumsum(0)
    torch.testing.assert_close(x[1, 0] + (speed * 0.1).cumsum(0), x[2:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(y[1, 0] + (a[:, 1] * 0.1).cumsum(0), y[2:, 0], atol=1e-3, rtol=0)


def test_files_of_ones_own_come_back(tmp_path):
    found = read_traffic(
        table(tmp_path / "mine.csv", recording(), skip=lambda frame, car: car == 2 and frame < 4), lanes=2
    )
    assert len(found) == 1 and found[0].names == ("7", "8", "9") and found[0].seconds == pytest.approx(0.1)
    assert found[0].present.sum(0).tolist() == [30, 30, 26]
    assert found[0].drivers(2.8) == [(0, 1), (1, 1)] and found[0].length.tolist() == [4.5, 4.5, 4.5]
    time, vehicle = np.meshgrid(np.arange(30) / 10, [3.0, 4.0], indexing="ij")
    both = {"time": time, "vehicle": vehicle, "x": 10 * time + 9 * vehicle, "y": np.full_like(time, 2.0)}
    twice = {name: np.concatenate([value.ravel()] * 2) for name, value in both.items()}
    np.savez(tmp_path / "two.npz", **twice, scene=np.repeat([0.0, 1.0], 60), length=np.full(120, 8.0))
    found = read_traffic(tmp_path / "two.npz")
    assert [part.names for part in found] == [("3", "4")] * 2 and found[1].length.tolist() == [8.0, 8.0]


def test_what_is_missing_or_jumps_is_refused_with_vehicle_time_and_distance(tmp_path):
    gap = table(tmp_path / "gap.csv", recording(), skip=lambda frame, car: car == 1 and 10 <= frame < 14)
    with pytest.raises(DataError, match=r"gap.csv: .*vehicle 8 is missing for 0.4 s before 1.4 s"):
        read_traffic(gap)
    with pytest.raises(DataError, match=r"after 0.9 s nothing comes for 0.50 s"):
        read_traffic(table(tmp_path / "hole.csv", recording(), skip=lambda frame, car: 10 <= frame < 14))
    x = recording().x.clone()
    x[20:, 2] += 15
    with pytest.raises(DataError, match=r"vehicle 9 jumps by 16.2 m at 2.0 s; wanted at most 6.0 m"):
        recording(x=x)
    y = recording().y.clone()
    y[12, 0] += 3
    with pytest.raises(DataError, match=r"vehicle 7 jumps by .* m at 1.\d s"):
        recording(y=y)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    x = recording().x.clone()
    x[5, 1] = value
    traffic = recording()
    object.__setattr__(traffic, "x", x)
    with pytest.raises(DataError, match=r"x is (nan|inf) for vehicle 8 at 0.5 s"):
        read_traffic(table(tmp_path / "wrong.csv", traffic))
    x[5, 1] = math.inf
    with pytest.raises(DataError, match="x is not finite for vehicle 8 at 0.5 s"):
        recording(x=x)


def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / "few.csv").write_text("time,x\n0,1\n")
    with pytest.raises(DataError, match="there is no vehicle, y"):
        read_traffic(tmp_path / "few.csv")
    (tmp_path / "words.csv").write_text("time,vehicle,x,y\n0,1,here,2\n")
    with pytest.raises(DataError, match="can't be read"):
        read_traffic(tmp_path / "words.csv")
    (tmp_path / "twice.csv").write_text("time,vehicle,x,y\n" + "\n".join(f"{t},1,0,2\n{t},1,0,2" for t in range(4)))
    with pytest.raises(DataError, match="vehicle 1 is there twice at 0.0 s"):
        read_traffic(tmp_path / "twice.csv")
    with pytest.raises(DataError, match="at least 52 frames for runs of 50 steps, got 30"):
        recording().runs(50)


def test_vehicles_that_were_not_there_at_the_same_time_are_refused():
    x = recording().x
    with pytest.raises(DataError, match=r"vehicles 7 and 8 are in one place at 0.0 s, and 67 % of all"):
        recording(x=torch.stack([x[:, 0], x[:, 0] + 4.0, x[:, 2]], 1))
    recording(x=torch.stack([x[:, 0], x[:, 0] + 5.1, x[:, 2]], 1))
