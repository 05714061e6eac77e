"""Environments by name, acting in many at once, and the cart-pole of our own."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from lowland.environments import Follow, RandomActions, make, record, replay, spaces_of
from lowland.errors import UsageError
from lowland.spaces import Box, Categorical, Real

pytest.importorskip("gymnasium")

OURS = "lowland/CartPoleSwingUp-v0"
REST = np.zeros(1, dtype=np.float32)


def test_spaces_are_what_the_environment_says():
    assert spaces_of(make("Pendulum-v1")) == (Real(3), Box(-2, 2, 1))
    assert spaces_of(make("CartPole-v1")) == (Real(4), Categorical(2))
    assert spaces_of(make(OURS)) == (Real(5), Box(-1, 1, 1))


def test_what_is_not_there_is_named_with_its_remedy(monkeypatch):
    with pytest.raises(UsageError, match="no environment called 'Nothing-v0'"):
        make("Nothing-v0")
    with pytest.raises(UsageError, match=r"Nowhere|nowhere"):
        make("nowhere_at_all:Nothing-v0")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"lowland\[control\]"):
        make("Pendulum-v1")


def test_traffic_of_another_package_is_there_by_its_name():
    pytest.importorskip("highway_env")
    assert make("highway-v0").observation_space.shape == (5, 5)


def test_a_recording_is_what_happened():
    episodes = record("Pendulum-v1", Follow(lambda s: 2 * torch.tanh(s[:, :1])), 3, steps=5, seed=7)
    assert episodes.lengths.tolist() == [5, 5, 5] and not episodes.ended.any()
    world = make("Pendulum-v1")
    state, _ = world.reset(seed=8)
    torch.testing.assert_close(episodes.episode(1).s[0], torch.as_tensor(state))
    for step in range(5):
        state, reward, *_ = world.step(episodes.episode(1).a[step].numpy())
        torch.testing.assert_close(episodes.episode(1).s[step + 1], torch.as_tensor(state))
        assert episodes.episode(1).reward[step].item() == pytest.approx(reward, rel=1e-5)


def test_an_episode_that_is_over_is_not_continued():
    agent = RandomActions(Categorical(2), torch.Generator().manual_seed(0))
    episodes = record("CartPole-v1", agent, 4, steps=60)
    assert episodes.ended.all() and len(set(episodes.lengths.tolist())) > 1
    assert len(episodes.transitions()["s"]) == int(episodes.lengths.sum())


def test_random_actions_lie_in_their_space_and_last():
    space = Box(-1, 3, 2)
    agent = RandomActions(space, torch.Generator().manual_seed(0), hold=10)
    done = torch.stack([agent.act(torch.zeros(50, 1)) for _ in range(100)])
    space.check(done)
    assert (done[1:] == done[:-1]).float().mean().item() == pytest.approx(0.9, abs=0.03)


def test_a_pole_that_hangs_stays_and_energy_is_kept():
    """Without a push the mechanical energy stays what it was (to the accuracy of the integration)."""
    world = make(OURS).unwrapped
    world.reset(seed=0)
    world.x, world.speed, world.angle, world.turning = 0.0, 0.0, 2.0, 0.0

    def mechanical() -> float:
        v, w, angle = world.speed, world.turning, world.angle
        moving = 0.5 * 1.1 * v**2 + 0.1 * 0.5 * v * w * math.cos(angle) + 0.5 * (4 / 3) * 0.1 * 0.25 * w**2
        return moving + 0.1 * 9.8 * 0.5 * math.cos(angle)

    before = mechanical()
    for _ in range(60):
        world.step(REST)
    assert mechanical() == pytest.approx(before, abs=0.03)


def test_success_is_two_seconds_upright():
    world = make(OURS).unwrapped
    world.reset(seed=0)
    for _ in range(45):
        world.angle = world.turning = world.speed = 0.0  # held by hand
        info = world.step(REST)[-1]
    assert info["success"]
    world.angle = math.pi
    assert not world.step(REST)[-1]["success"]
    world.x = 5.0
    assert world.step(REST)[2]


def test_a_recording_can_be_looked_at():
    episodes = record(OURS, RandomActions(Box(-1, 1, 1), torch.Generator().manual_seed(0)), 2, steps=4)
    frames = replay(OURS, episodes, 1)
    assert len(frames) == 5 and frames[0].shape == (160, 320, 3) and frames[0].dtype == "uint8"
    assert (frames[0] != frames[4]).any() and episodes.about["success"] == "00"


ROOMS = "lowland/TwoRooms-v0"


def test_walls_stop_and_the_door_lets_through():
    from lowland.environments.two_rooms import walked

    left, right = np.array([0.47, 0.8]), np.array([0.05, 0.0])
    assert walked(left, right, 0.35)[0] < 0.5
    assert walked(np.array([0.47, 0.35]), right, 0.35)[0] == pytest.approx(0.52)
    assert walked(np.array([0.53, 0.8]), -right, 0.35)[0] > 0.5
    assert walked(left, np.array([0.05, 0.06]), 0.35)[1] == pytest.approx(0.86)
    assert walked(np.array([0.9, 0.1]), np.array([0.08, -0.08]), 0.35).tolist() == [0.94, 0.06]


def test_the_dot_is_where_it_is_drawn_and_the_second_picture_is_the_goal():
    world = make(ROOMS)
    seen, _ = world.reset(seed=3)
    inside = world.unwrapped
    assert seen.shape == (2, 28, 28) and seen.dtype == np.float32 and seen.max() <= 1
    for shown, place in zip(seen, (inside.place, inside.goal), strict=True):
        y, x = np.unravel_index(shown.argmax(), shown.shape)
        assert np.abs((np.array([x, y]) + 0.5) / 28 - place).max() < 0.6 / 28


def test_an_episode_is_a_success_when_the_dot_stays_at_the_goal():
    world = make(ROOMS)
    world.reset(seed=0)
    inside = world.unwrapped
    inside.place = inside.goal.copy()
    rest = np.zeros(2, dtype=np.float32)
    assert world.step(rest)[2] is False
    _, reward, over, _, info = world.step(rest)
    assert over and info["success"] and reward == 0
    agent = RandomActions(Box(-1, 1, 2), torch.Generator().manual_seed(0))
    assert record(ROOMS, agent, 2, seed=5).lengths.max() <= 50
    assert replay(ROOMS, record(ROOMS, agent, 1, steps=2, seed=5), 0)[0].shape == (224, 224, 3)
