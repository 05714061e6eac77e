"""Judging a search by the exact answer, and tuning a sampler."""

import pytest
import torch
from torch import nn

from lowland.energy import L1, L2, Driven, Function, KnownModel, LinearReconstruction, QuadraticCost, Rollout
from lowland.errors import StructureError
from lowland.inference import (
    FISTA,
    HMC,
    ISTA,
    LBFGS,
    MALA,
    Followed,
    Gibbs,
    GradientDescent,
    Langevin,
    adapt,
    how_good,
    policy_beside_planning,
    solve,
)
from lowland.spaces import Binary, Real


def test_a_search_is_judged_by_the_exact_answer():
    quadratic = LinearReconstruction(6, 4) + 0.5 * L2(Real(4))
    y = torch.randn(20, 6)
    good = how_good(quadratic, "z", LBFGS(), y=y)
    assert good.found == 1.0 and good.gap.abs().max() < 1e-4 and good.seconds > 0 < good.exact_seconds
    poor = how_good(quadratic, "z", GradientDescent(1e-3), options={"steps": 3}, y=y)
    assert poor.found < 0.5 and (poor.gap > 0).all()


def test_a_sampler_of_bits_is_judged_by_enumeration():
    chain = Function(lambda s, field: -(s * field).sum(1) - (s[:, 1:] * s[:, :-1]).sum(1), s=Binary(6), field=Real(6))
    field = torch.randn(30, 6)
    cold = how_good(chain, "s", Gibbs(beta=20.0), options={"steps": 30}, field=field)
    hot = how_good(chain, "s", Gibbs(beta=0.1), options={"steps": 30}, field=field)
    assert (cold.gap >= -1e-5).all() and hot.found < 0.3 < cold.found


def test_a_policy_is_judged_beside_planning():
    """Three fifths of the way back, then half of it, is best; doing nothing is not."""
    model = KnownModel(lambda s, a: s + a, Real(2), Real(2))
    plan = Rollout(model, QuadraticCost(torch.eye(2), torch.eye(2)), 2, final=QuadraticCost(torch.eye(2)))
    s = torch.randn(10, 2)

    def judged(gain: float) -> Followed:
        policy = nn.Linear(2, 2, bias=False)
        policy.weight.data = -gain * torch.eye(2)
        options = {"steps": 2, "reference": LBFGS(), "reference_steps": 50}
        return policy_beside_planning(Driven(plan, policy), GradientDescent(0.1), s, **options)

    near, idle = judged(0.6), judged(0.0)
    assert -1e-4 < near.extra < 0.02 < 0.5 < idle.extra and near.speed > 0


def test_without_an_exact_answer_a_reference_is_asked_for():
    lasso = LinearReconstruction(6, 4) + 0.5 * L1(Real(4))
    y = torch.randn(5, 6)
    with pytest.raises(StructureError, match="give a reference"):
        how_good(lasso, "z", FISTA(), y=y)
    assert how_good(lasso, "z", FISTA(), reference=ISTA(), y=y).found == 1.0


@pytest.mark.parametrize(
    ("solver", "target"), [(MALA(rate=50.0), 0.574), (MALA(rate=1e-4), 0.574), (HMC(rate=5.0), 0.651)]
)
def test_a_rate_is_tuned_to_the_wanted_acceptance(solver, target):
    energy = Function(lambda x: 0.5 * (x / torch.tensor([1.0, 3.0])).square().sum(-1), x=Real(2))
    generator = torch.Generator().manual_seed(0)
    tuned, value = adapt(solver, energy, torch.zeros(100, 2), steps=400, generator=generator)
    draws = solve(tuned, energy, value, steps=50, generator=generator)
    assert draws.info["acceptance"].item() == pytest.approx(target, abs=0.08)
    with pytest.raises(StructureError, match="accepts or refuses"):
        adapt(Langevin(0.1), energy, torch.zeros(4, 2))
