"""What is particular to the system that swings up a pendulum; that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland.environments import Follow, RandomActions, record
from lowland.errors import UsageError
from lowland.inference import RecedingHorizon
from lowland.systems.control.pendulum_mpc import (
    ENVIRONMENTS,
    PLANNERS,
    SPACES,
    CartPoleCost,
    Config,
    PendulumCost,
    act,
    build,
)

pytest.importorskip("gymnasium")


@pytest.mark.parametrize(
    ("name", "cost", "best"), [("pendulum", PendulumCost(), 0.0), ("cart_pole", CartPoleCost(), 1.0)]
)
def test_a_cost_is_what_the_environment_takes_off(name, cost, best):
    agent = RandomActions(SPACES[name][1], torch.Generator().manual_seed(0), hold=3)
    steps = record(ENVIRONMENTS[name], agent, 3, steps=60).transitions()
    torch.testing.assert_close(best - cost(s=steps["s"], a=steps["a"]), steps["reward"], atol=1e-3, rtol=1e-3)


def test_planners_are_compared_at_the_same_number_of_model_calls():
    calls = {
        "cem": PLANNERS["cem"][0].population * PLANNERS["cem"][1],
        "mppi": PLANNERS["mppi"][0].population * PLANNERS["mppi"][1],
        "gradient": 2 * PLANNERS["gradient"][0].starts * (PLANNERS["gradient"][1] + 1),
    }
    assert set(calls.values()) == {256}


def test_who_acts_is_asked_by_the_name_of_the_environment():
    config = Config(hidden=4, members=2, pendulum_horizon=3)
    model = build(config)
    assert isinstance(act(model, config, "Pendulum-v1", False), RecedingHorizon)
    assert act(model, config, ENVIRONMENTS["cart_pole"], False).energy is model["cart_pole"]
    assert isinstance(act(model, config, "Pendulum-v1", True), Follow)
    with pytest.raises(UsageError, match="CartPole-v1"):
        act(model, config, "CartPole-v1", False)
    with pytest.raises(UsageError, match="has a policy for Pendulum-v1"):
        act(model, config, ENVIRONMENTS["cart_pole"], True)
