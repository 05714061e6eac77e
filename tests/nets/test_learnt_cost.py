"""A cost that is learnt from rewards."""

import torch

from lowland.energy import Rollout
from lowland.nets import CostForecast, Dynamics, LearntCost
from lowland.objectives import EnergyLoss
from lowland.spaces import Box, Real
from lowland.train import fit


def test_it_learns_minus_the_reward():
    torch.manual_seed(0)
    s, a = 5 + torch.randn(500, 2), torch.rand(500, 1) * 2 - 1
    reward = 100 - s[:, 0].square() - a[:, 0]
    cost = LearntCost(Real(2), Box(-1, 1, 1), (16,))
    cost.fit_scale(s, a, reward)
    assert (cost(s=s, a=a).mean() + reward.mean()).abs() < reward.std()
    before = CostForecast(cost)(s=s, a=a, reward=reward).mean()
    fit(CostForecast(cost), {"s": s, "a": a, "reward": reward}, EnergyLoss(), epochs=100)
    assert CostForecast(cost)(s=s, a=a, reward=reward).mean() < 0.1 * before


def test_it_prices_every_step_of_every_version_of_a_plan():
    state, action = Real(2), Box(-1, 1, 1)
    plan = Rollout(Dynamics(state, action, (4,), members=3), LearntCost(state, action, (4,)), 5)
    s, a = torch.randn(4, 2), torch.rand(7, 4, 5, 1)
    now, last = plan.imagine(s, a)
    assert plan.costs(now, last, a, {}).shape == (3, 7, 4, 5)
    assert plan(s=s, a=a).shape == (7, 4)
