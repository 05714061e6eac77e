"""What is particular to the system that finds the door; that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.systems.control.two_rooms import ENVIRONMENT, Config, _across, _everywhere, act, agent, build, places

pytest.importorskip("gymnasium")


def test_places_are_read_off_pictures():
    found = places(_everywhere())
    torch.testing.assert_close(found[0], torch.full((2,), 0.06 * 28 - 0.5), atol=0.3, rtol=0)
    assert (found.reshape(24, 24, 2)[3].diff(dim=0)[:, 0] > 0).all()
    assert (found.reshape(24, 24, 2)[:, 3].diff(dim=0)[:, 1] > 0).all()


def test_tasks_across_the_wall_are_told_apart():
    from lowland.environments import Follow, record

    tried = record(ENVIRONMENT, Follow(lambda s: torch.zeros(len(s), 2)), 40, steps=2, seed=0)
    across = _across(tried).float().mean()
    assert 0.3 < across < 0.7


def test_it_plans_where_there_are_two_rooms_and_nowhere_else():
    config = Config(hidden=8, model_hidden=8, embedding=4, horizon=3, population=4)
    model = build(config)
    assert act(model, config, ENVIRONMENT, False).energy is model["plan"]
    s = torch.rand(5, 2, 28, 28)
    assert agent(model["plan"], config).act(s).shape == (5, 2)
    for environment, policy in (("Pendulum-v1", False), (ENVIRONMENT, True)):
        with pytest.raises(UsageError, match="two_rooms plans for"):
            act(model, config, environment, policy)
