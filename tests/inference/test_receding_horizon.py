"""With known dynamics and a quadratic cost the best plan has a closed form: every planner must come within 1 % of it."""

import math

import pytest
import torch

from lowland.energy import Function, KnownModel, QuadraticCost, Rollout
from lowland.errors import DivergenceError, VariableError
from lowland.inference import (
    CEM,
    ICEM,
    LBFGS,
    MPPI,
    GradientCEM,
    GradientDescent,
    MultiStart,
    RecedingHorizon,
    TorchOptimizer,
    infer,
    solve,
)
from lowland.inference.receding_horizon import shifted
from lowland.spaces import Real

#: A cart on rails, pushed: position and speed, 0.2 seconds a step.
A, B = torch.tensor([[1.0, 0.2], [0.0, 1.0]]), torch.tensor([[0.02], [0.2]])
Q, R = torch.diag(torch.tensor([1.0, 0.1])), torch.tensor([[0.1]])
HORIZON = 12


def riccati(steps: int) -> torch.Tensor:
    """P of the cost-to-go ½ sᵀPs with so many steps left, backwards from the last (Bryson & Ho, eq. 2.2.17)."""
    P = Q
    for _ in range(steps):
        gain = torch.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
        P = Q + A.T @ P @ (A - B @ gain)
    return P


def regulator(horizon: int = HORIZON, final: torch.Tensor = Q) -> Rollout:
    model = KnownModel(lambda s, a: s @ A.T + a @ B.T, Real(2), Real(1))
    return Rollout(model, QuadraticCost(Q, R), horizon, final=QuadraticCost(final))


def states() -> torch.Tensor:
    return torch.randn(8, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("solver", "steps"),
    [
        (CEM(300, 30, width=3.0), 30),
        (ICEM(300, 30, width=3.0, decay=1.0, momentum=0.3, colour=0.25), 30),
        (GradientCEM(60, 20, width=2.0, rate=0.3, moves=4), 20),
        (MPPI(300, width=3.0), 40),
        (GradientDescent(), 300),
        (LBFGS(), 30),
        (TorchOptimizer(lambda tensors: torch.optim.Adam(tensors, lr=0.3)), 200),
        (MultiStart(GradientDescent(), 4), 300),
    ],
    ids=lambda part: type(part).__name__ if not isinstance(part, int) else "",
)
def test_every_planner_reaches_the_riccati_optimum(solver, steps):
    energy, s = regulator(), states()
    options = {"steps": steps, "tol": 1e-6, "generator": torch.Generator().manual_seed(0)}
    found = infer(energy, "a", s=s, solver=solver, options=options)
    best = 0.5 * torch.linalg.vecdot(s @ riccati(HORIZON), s)
    assert (found.energy >= best * (1 - 1e-4)).all()
    assert (found.energy <= best * 1.01).all(), (found.energy / best).max()


def test_planning_is_a_minimum_of_the_energy():
    """The energy of the best plan is the cost-to-go, and its slope is the costate."""
    s = states().requires_grad_()
    value = regulator().minimize("a", LBFGS(), steps=60)(s=s)
    P = riccati(HORIZON)
    torch.testing.assert_close(value, 0.5 * torch.linalg.vecdot(s @ P, s), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), s)[0], s @ P, atol=1e-3, rtol=1e-2)


def test_an_agent_that_plans_anew_drives_as_the_regulator_does():
    """With the cost-to-go at its end a short plan is as good as a long one."""
    P = riccati(200)
    agent = RecedingHorizon(regulator(4, P), LBFGS(), steps=20)
    s, cost = states(), 0
    best = 0.5 * torch.linalg.vecdot(s @ P, s)
    for _ in range(60):
        a = agent.act(s)
        cost = cost + 0.5 * torch.linalg.vecdot(s @ Q, s) + 0.5 * torch.linalg.vecdot(a @ R, a)
        s = s @ A.T + a @ B.T
    assert (cost <= 1.01 * best).all()


def test_the_next_search_begins_where_the_old_plan_goes_on():
    agent = RecedingHorizon(regulator(), CEM(100, 10), steps=5, generator=torch.Generator().manual_seed(0))
    s = states()
    first = agent.act(s)
    assert first.shape == (8, 1) and agent.plan.shape == (8, HORIZON, 1)
    old = agent.plan
    agent.solver, agent.steps = GradientDescent(), 0
    torch.testing.assert_close(agent.act(s), old[:, 1])
    assert (agent.plan[:, -1] == old[:, -1]).all()
    agent.reset()
    assert agent.plan is None


def test_elites_of_the_last_plan_compete_again_a_step_on():
    agent = RecedingHorizon(regulator(), ICEM(60, 10), steps=3, generator=torch.Generator().manual_seed(0))
    s = states()
    agent.act(s)
    energy, last = regulator().given(s=s), agent.solution
    state = agent.solver.resume(energy, last, lambda plan: shifted(plan, 2))
    torch.testing.assert_close(state.kept, shifted(last.state.kept, 2))
    torch.testing.assert_close(state.kept[:, 0], state.z)
    torch.testing.assert_close(state.energies, energy(a=state.kept.movedim(1, 0)).T)
    assert (state.energies.amin(1) < state.energies[:, 0]).any()  # a step on, another one may be the best
    found = solve(ICEM(20, 10), energy, state=state._replace(width=1e-6 * state.width), steps=1)
    assert (found.energy <= state.energies.amin(1) + 1e-4).all()


def test_elites_of_another_solver_are_not_carried_over():
    energy = regulator().given(s=states())
    last = solve(CEM(60, 10), energy, steps=2, generator=torch.Generator().manual_seed(0))
    state = ICEM(60, 10).resume(energy, last, lambda plan: plan)
    torch.testing.assert_close(state.kept[:, 0], last.value)
    assert state.kept.shape[1] == 1


def test_a_search_among_numbers_that_are_none_follows_the_last_plan_that_was_safe():
    broken = [False]

    def law(s, a):
        return s + a + (math.nan if broken[0] else 0.0)

    energy = Rollout(
        KnownModel(law, Real(1), Real(1)), Function(lambda s, a: (s + a).square().sum(-1), s=Real(1), a=Real(1)), 3
    )
    agent = RecedingHorizon(energy, CEM(50, 5), steps=3, generator=torch.Generator().manual_seed(0))
    agent.act(torch.ones(2, 1))
    safe = agent.plan
    broken[0] = True
    with pytest.warns(UserWarning, match="last plan that was safe"):
        a = agent.act(torch.ones(2, 1))
    torch.testing.assert_close(a, safe[:, 1])
    agent.reset()
    with pytest.raises(DivergenceError):
        agent.act(torch.ones(2, 1))


def test_an_energy_of_more_than_a_state_and_a_plan_is_refused():
    with pytest.raises(VariableError, match="goal"):
        RecedingHorizon(Function(lambda s, a, goal: s, s=Real(), a=Real(), goal=Real()), CEM())


def test_a_plan_goes_on_with_its_last_action():
    plan = torch.arange(6.0).reshape(1, 3, 2)
    assert shifted(plan, 2).tolist() == [[[2, 3], [4, 5], [4, 5]]]
