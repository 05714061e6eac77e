"""Forecasts of embeddings, and plans from one picture to another."""

import pytest
import torch
from torch import nn

from lowland.energy import GoalDistance, JointForecast, KnownModel, QuadraticCost, Rollout, TowardsGoal
from lowland.errors import StructureError
from lowland.inference import CEM, RecedingHorizon
from lowland.objectives import EnergyLoss, VarianceCovariance
from lowland.spaces import Box, Real
from lowland.train import fit


class Plus(nn.Module):
    """The embedding of a picture is its two pixels; how often it looked is counted."""

    def __init__(self):
        super().__init__()
        self.looked = 0

    def forward(self, x):
        self.looked += len(x)
        return x.flatten(1)


def walk() -> Rollout:
    cost = GoalDistance(Real(2))
    return Rollout(KnownModel(lambda s, a: s + a, Real(2), Box(-1, 1, 2)), cost, 3, final=cost)


def test_a_forecast_of_embeddings_is_of_nothing_else():
    energy = JointForecast(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), walk().model, Real(2, 2), 3)
    s, a, y = torch.randn(5, 2, 2), torch.rand(5, 3, 2), torch.randn(5, 3, 2, 2)
    h = energy.encoder(torch.cat([s[:, None], y], 1).flatten(0, 1)).unflatten(0, (5, 4))
    wanted = 0.5 * (h[:, 1:] - h[:, :1] - a.cumsum(1)).square().sum((1, 2))
    torch.testing.assert_close(energy(s=s, a=a, y=y), wanted)


def test_embeddings_collapse_without_the_regulariser_and_not_with_it():
    """A place that is seen badly: nothing is as easy to predict as the same word for everything."""
    spread = {}
    for name, objective in (("kept", EnergyLoss() + 25.0 * VarianceCovariance(names=("s",))), ("lost", EnergyLoss())):
        torch.manual_seed(0)
        place, a = torch.randn(512, 2), torch.rand(512, 1, 2) * 2 - 1
        s, y = (where + 0.5 * torch.randn(512, 2) for where in (place, place + a[:, 0]))
        energy = JointForecast(nn.Linear(2, 2), _Linear(), Real(2))
        fit(energy, {"s": s, "a": a, "y": y.unsqueeze(1)}, objective, epochs=40, batch_size=128, rate=1e-2)
        spread[name] = energy.encoder(s).std(0).min().item()
    assert spread["kept"] > 0.7 and spread["lost"] < 0.1


class _Linear(KnownModel):
    """What an action does to an embedding is learnt."""

    def __init__(self):
        super().__init__(lambda s, a: s, Real(2), Real(2))
        self.push = nn.Linear(2, 2)

    def step(self, s, a, z=None):
        return s + self.push(a)


def test_a_plan_leads_to_the_picture_of_the_goal_and_pictures_are_looked_at_once():
    encoder = Plus()
    energy = TowardsGoal(encoder, walk(), Real(2))
    s = torch.randn(4, 2, 2)
    a = torch.rand(7, 4, 3, 2)
    torch.testing.assert_close(energy.given(s=s).value(a), energy(s=s, a=a))
    encoder.looked = 0
    agent = RecedingHorizon(energy, CEM(100, 10), steps=10, generator=torch.Generator().manual_seed(0))
    for _ in range(4):
        s[:, 0] += agent.act(s)
    assert encoder.looked == 4 * 2 * 4
    torch.testing.assert_close(s[:, 0], s[:, 1], atol=0.1, rtol=0)


def test_a_plan_without_a_goal_is_refused():
    with pytest.raises(StructureError, match="goal"):
        TowardsGoal(Plus(), Rollout(walk().model, QuadraticCost(torch.eye(2)), 2), Real(2))
