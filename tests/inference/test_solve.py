"""The one loop: stopping, honesty, budgets, records, refusals."""

import time

import pytest
import torch

from lowland import infer, posterior
from lowland.energy import L1, Function, KBest, LinearReconstruction, NetworkTable, Sample
from lowland.errors import DivergenceError, SpaceError, StructureError, VariableError
from lowland.inference import (
    FISTA,
    HMC,
    ISTA,
    LBFGS,
    MALA,
    Gibbs,
    GradientDescent,
    Langevin,
    Newton,
    TorchOptimizer,
    default_solver,
    effective_sample_size,
    solve,
    split_r_hat,
)
from lowland.spaces import Binary, Box, Categorical, NonNegative, Real


def rosenbrock():
    return Function(lambda x: (1 - x[:, 0]).square() + 100 * (x[:, 1] - x[:, 0].square()).square(), x=Real(2))


def lasso(rows=6):
    torch.manual_seed(0)
    energy = LinearReconstruction(8, 12) + 0.2 * L1(Real(12))
    return energy.double().given(y=torch.randn(rows, 8, dtype=torch.float64))


def test_lbfgs_crosses_the_banana_valley_from_everywhere():
    start = 1.5 * torch.randn(500, 2)
    found = solve(LBFGS(), rosenbrock(), start, steps=150, tol=1e-2)
    assert found.converged.all() and found.steps < 150
    torch.testing.assert_close(found.value, torch.ones(500, 2), atol=0.05, rtol=0)


def test_convergence_is_the_optimality_condition_and_not_the_end_of_the_steps():
    start = torch.tensor([[1.0, 1.0], [-1.2, 1.0]])
    found = solve(GradientDescent(1e-4), rosenbrock(), start, steps=24, tol=1e-3)
    assert found.converged.tolist() == [True, False] and found.steps == 24
    assert found.info["residual"][0] <= 1e-3 < found.info["residual"][1]


def test_samples_that_have_converged_stop_costing():
    sizes = []

    def spied(x):
        sizes.append(len(x))
        return (x - 1).square().sum(-1)

    start = torch.ones(64, 2)
    start[:4] = 40.0
    found = solve(GradientDescent(0.02), Function(spied, x=Real(2)), start, steps=1000, tol=1e-3)
    assert found.converged.all()
    assert sizes[0] == 64 and sizes[-2] == 4 and sizes[-1] == 64
    torch.testing.assert_close(found.value, torch.ones(64, 2), atol=1e-3, rtol=0)


def test_an_optimiser_with_a_state_of_its_own_keeps_all_its_rows():
    start = torch.ones(8, 2)
    start[0] = 30.0
    energy = Function(lambda x: (x - 1).square().sum(-1), x=Real(2))
    solver = TorchOptimizer(lambda tensors: torch.optim.SGD(tensors, lr=0.1, momentum=0.3))
    found = solve(solver, energy, start, steps=500, tol=1e-3)
    assert found.converged.all()
    torch.testing.assert_close(found.value, torch.ones(8, 2), atol=1e-3, rtol=0)


def test_dropping_rows_changes_no_answer():
    energy = lasso(16)
    together = solve(FISTA(), energy, tol=1e-8, steps=5000)
    for row in range(16):
        alone = solve(FISTA(), energy.select(torch.tensor([row])), tol=1e-8, steps=5000)
        torch.testing.assert_close(alone.value[0], together.value[row], atol=1e-6, rtol=1e-5)


def test_a_budget_returns_what_was_found_so_far():
    began = time.monotonic()
    found = solve(GradientDescent(1e-6), rosenbrock(), torch.randn(10, 2), steps=10**9, budget=0.2)
    assert time.monotonic() - began < 20
    assert 0 < found.steps < 10**9 and not found.converged.any() and torch.isfinite(found.energy).all()


def test_a_trajectory_begins_at_the_start_and_ends_at_the_answer():
    start = torch.randn(3, 2)
    found = solve(GradientDescent(1e-3), rosenbrock(), start, steps=16, tol=0.0, record=4)
    path = found.info["trajectory"]
    assert path.shape == (5, 3, 2)
    assert (path[0] == start).all() and (path[-1] == found.value).all()


def test_progress_wraps_the_counter():
    seen = []

    def watch(counter):
        for step in counter:
            seen.append(step)
            yield step

    solve(GradientDescent(1e-4), rosenbrock(), torch.randn(3, 2), steps=5, tol=0.0, progress=watch)
    assert seen == [1, 2, 3, 4, 5]


def test_numbers_that_are_not_finite_stop_the_search_with_the_step_and_the_sample():
    with pytest.raises(DivergenceError, match=r"GradientDescent.*step.*1 of 2 samples.*index \(1,\).*lower the rate"):
        solve(GradientDescent(1.0), rosenbrock(), torch.tensor([[1.0, 1.0], [50.0, 50.0]]), steps=100)


def test_the_caller_keeps_tensors_grads_and_generators_of_torch():
    energy = LinearReconstruction(4, 3)
    y, start = torch.randn(2, 4), torch.randn(2, 3)
    kept = start.clone()
    state = torch.random.get_rng_state()
    solve(LBFGS(), energy.given(y=y), start)
    solve(Langevin(0.01), energy.given(y=y), start, steps=5, generator=torch.Generator().manual_seed(0))
    assert (start == kept).all() and energy.W.grad is None and not start.requires_grad
    assert (torch.random.get_rng_state() == state).all()


def test_starts_that_do_not_fit_are_refused():
    energy = lasso()
    with pytest.raises(SpaceError, match="z: wanted shape"):
        solve(FISTA(), energy, torch.zeros(6, 5, dtype=torch.float64))
    with pytest.raises(SpaceError, match="a start for each of \\(6,\\) samples"):
        solve(FISTA(), energy, torch.zeros(1, 12, dtype=torch.float64))


def test_compiled_slopes_give_the_same_answer():
    energy = Function(lambda x: (x - 1).square().sum(-1) + 0.1 * x.cos().sum(-1), x=Real(3))
    start = torch.randn(5, 3)
    plain = solve(GradientDescent(0.1), energy, start, steps=30, tol=0.0)
    compiled = solve(GradientDescent(0.1), energy, start, steps=30, tol=0.0, compile=True)
    torch.testing.assert_close(plain.value, compiled.value)


@pytest.mark.parametrize(
    ("solver", "words"),
    [
        (lambda: GradientDescent(-1.0), "rate > 0"),
        (lambda: Langevin(0.0), "rate > 0"),
        (lambda: MALA(0.1, beta=-1), "beta > 0"),
        (lambda: HMC(0.1, leapfrog=0), "leapfrog"),
        (lambda: Gibbs(beta=0.0), "beta > 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(solver, words):
    with pytest.raises(SpaceError, match=words):
        solver()


def test_solvers_that_need_structure_say_so():
    with pytest.raises(StructureError, match="not a quadratic"):
        solve(Newton(), rosenbrock(), torch.zeros(1, 2))
    with pytest.raises(StructureError, match="give the solver a rate"):
        solve(ISTA(), rosenbrock(), torch.zeros(1, 2))
    with pytest.raises(StructureError, match="Binary"):
        solve(Gibbs(), rosenbrock(), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("space", "kind"),
    [(Real(2), LBFGS), (Box(0, 1, 2), GradientDescent), (NonNegative(2), GradientDescent), (Binary(40), Gibbs)],
)
def test_the_space_picks_the_solver(space, kind):
    assert isinstance(default_solver(Function(lambda x: x.sum(-1), x=space)), kind)


def test_the_structure_picks_the_solver():
    quadratic = LinearReconstruction(4, 3)
    y = torch.randn(2, 4)
    assert isinstance(default_solver(quadratic.given(y=y)), Newton)
    assert not isinstance(default_solver((quadratic + L1(Real(3))).given(y=y)), (Newton, LBFGS, GradientDescent))


def test_constrained_minima_lie_on_the_edge():
    energy = Function(lambda x: (x - torch.tensor([2.0, 0.3])).square().sum(-1), x=Box(0, 1, 2))
    found = infer(energy, "x", init=torch.rand(4, 2))
    assert found.converged.all()
    torch.testing.assert_close(found.value, torch.tensor([1.0, 0.3]).expand(4, 2))


def test_a_finite_unknown_is_looked_up():
    energy = Function(lambda x, y: (x - y).abs(), x=Real(), y=Categorical(4))
    x = torch.tensor([0.2, 2.7])
    found = infer(energy, "y", x=x)
    assert found.value.tolist() == [0, 3] and found.converged.all()
    torch.testing.assert_close(found.energy, torch.tensor([0.2, 0.3]))
    assert infer(energy, "y", x=x, reduction=KBest(2)).value.tolist() == [[0, 1], [3, 2]]
    draws = infer(energy, "y", x=x.expand(5000, 2), reduction=Sample(2.0, torch.Generator().manual_seed(0)))
    share = (draws.value == 3).float().mean(0)
    torch.testing.assert_close(share, posterior(energy, "y", 2.0, x=x)[:, 3], atol=0.02, rtol=0)


def test_infer_refuses_what_is_not_answerable():
    energy = Function(lambda x, y, z: x + y + z, x=Real(), y=Categorical(4), z=Categorical(2))
    with pytest.raises(VariableError, match='z is neither known nor asked for.*minimize\\("z"\\)'):
        infer(energy, "y", x=torch.zeros(2))
    with pytest.raises(SpaceError, match="x: wanted finite"):
        infer(energy.minimize("z"), "y", x=torch.tensor([torch.nan]))
    with pytest.raises(VariableError, match="unknown: w"):
        infer(energy.minimize("z"), "y", x=torch.zeros(2), w=torch.zeros(2))
    classifier = NetworkTable(torch.nn.Linear(2, 3), Real(2), 3)
    with pytest.raises(SpaceError, match="0 to 2"):
        infer(classifier, "x", y=torch.tensor([3]))


def test_chain_diagnostics_know_good_chains_from_bad():
    good = torch.randn(500, 8)
    stuck = good + 3 * torch.arange(8.0)
    slow = torch.randn(500, 8).cumsum(0)
    assert split_r_hat(good) < 1.02 and split_r_hat(stuck) > 1.5 and split_r_hat(slow) > 1.2
    assert 0.7 < effective_sample_size(good) / 4000 < 1.4
    assert effective_sample_size(slow) < 200
    autoregressive = torch.zeros(4000, 8)
    for step in range(1, 4000):
        autoregressive[step] = 0.8 * autoregressive[step - 1] + torch.randn(8)
    assert effective_sample_size(autoregressive) / 32000 == pytest.approx(0.2 / 1.8, rel=0.2)
