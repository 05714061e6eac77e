"""A policy is as good as the plan that it makes, and learns through the model."""

import pytest
import torch
from torch import nn

from lowland.energy import Driven, Function, GoalDistance, KnownModel, QuadraticCost, Rollout
from lowland.errors import UsageError, VariableError
from lowland.inference import GradientDescent
from lowland.nets import Dynamics, Policy, Starts
from lowland.spaces import Box, Real

STATE, ACTION = Real(2), Box(-1, 1, 2)


def plan(horizon: int = 4) -> Rollout:
    model = KnownModel(lambda s, a: s + 0.5 * a, STATE, ACTION)
    return Rollout(model, QuadraticCost(torch.eye(2), 0.1 * torch.eye(2)), horizon, final=QuadraticCost(torch.eye(2)))


def test_its_energy_is_that_of_the_plan_it_makes():
    energy = Driven(plan(), Policy(STATE, ACTION, (8,)))
    s = torch.randn(5, 2)
    a = energy.drive(s)[2]
    torch.testing.assert_close(energy(s=s), energy.rollout(s=s, a=a))
    torch.testing.assert_close(a[:, 0], energy.policy(s))
    torch.testing.assert_close(a[:, 1], energy.policy(s + 0.5 * a[:, 0]))


def test_an_ensemble_is_driven_by_one_action_a_step():
    energy = Driven(
        Rollout(Dynamics(STATE, ACTION, (8,), members=3), plan().cost, 4, uncertainty=1.0), Policy(STATE, ACTION)
    )
    s = torch.randn(5, 2)
    torch.testing.assert_close(energy(s=s), energy.rollout(s=s, a=energy.drive(s)[2]))


def test_a_policy_learns_to_plan_and_the_model_stays():
    torch.manual_seed(0)
    energy = Driven(plan(), Policy(STATE, ACTION, (32,)))
    assert not any("rollout" in name for name, _ in energy.named_parameters())
    optimizer = torch.optim.Adam(energy.parameters(), 0.01)
    s = torch.randn(256, 2)
    before = energy(s=s).mean().item()
    for _ in range(150):
        optimizer.zero_grad()
        energy(s=s).mean().backward()
        optimizer.step()
    best = energy.rollout.minimize("a", GradientDescent(), steps=200)(s=s).mean().item()
    after = energy(s=s).mean().item()
    assert best <= after + 1e-4 and after - best < 0.05 * (before - best)


def test_a_policy_stays_in_its_box_and_takes_its_units_from_the_data():
    policy = Policy(Real(3), Box(1, 5, 2), (8,))
    s = 1000 + torch.randn(50, 3)
    policy.fit_scale(s)
    a = policy(s)
    Box(1, 5, 2).check(a)
    assert a.std(0).min() > 1e-3
    with pytest.raises(UsageError, match="finite bounds"):
        Policy(Real(3), Real(2))


def test_of_several_starts_each_learns_by_itself_and_the_best_acts():
    torch.manual_seed(0)
    policies = [Policy(STATE, ACTION, (8,)) for _ in range(3)]
    single = Policy(STATE, ACTION, (8,))
    single.load_state_dict(policies[1].state_dict())
    starts = Starts(policies)
    together = Driven(plan(), starts)
    s = torch.randn(30, 2)
    starts.fit_scale(s)
    (3 * together(s=s).mean()).backward()
    single.fit_scale(s)
    Driven(plan(), single)(s=s[10:20]).mean().backward()
    for one, other in zip(policies[1].parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)

    def norms():
        return [
            torch.cat([p.grad.flatten() for p in one.parameters() if p.grad is not None]).norm() for one in policies
        ]

    before = norms()
    starts.clip(float(before[1]))
    torch.testing.assert_close(norms(), [min(norm, before[1]) for norm in before], rtol=1e-4, atol=1e-6)

    energies = starts.choose(lambda: together(s=s))
    each = torch.stack([Driven(plan(), policy)(s=s).mean() for policy in policies]).detach()
    torch.testing.assert_close(energies, each)
    assert int(starts.best) == int(each.argmin())
    torch.testing.assert_close(starts(s), policies[int(each.argmin())](s))
    with pytest.raises(UsageError, match="at least one"):
        Starts([])


def test_a_goal_that_a_policy_does_not_see_is_refused():
    model = KnownModel(lambda s, a: s + a, STATE, ACTION)
    with pytest.raises(VariableError, match="goal"):
        Driven(Rollout(model, GoalDistance(STATE), 2), nn.Identity())
    Driven(Rollout(model, Function(lambda s: s.sum(-1), s=STATE), 2), nn.Identity())
