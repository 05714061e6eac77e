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
