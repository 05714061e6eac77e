"""Sparse codes: every solver finds what scikit-learn finds, the optimality conditions hold, and bounds are bounds."""

import pytest
import torch
from torch import Tensor

from lowland.energy import (
    L1,
    ConvolutionalReconstruction,
    GroupL2,
    LinearReconstruction,
    Partial,
    Quadratic,
    Reconstruction,
)
from lowland.errors import StructureError
from lowland.inference import (
    ADMM,
    FISTA,
    ISTA,
    ActiveSet,
    CoordinateDescent,
    GreedyCoordinateDescent,
    default_solver,
    solve,
)
from lowland.inference.lasso import certificate
from lowland.spaces import Box, NonNegative, Real

SOLVERS = [ISTA(), FISTA(), ADMM(), CoordinateDescent(), GreedyCoordinateDescent(), ActiveSet(), ActiveSet(sweeps=1)]
DIM, ATOMS, SAMPLES = 12, 15, 6


def problem(weight: float, space=Real, dtype=torch.float64, samples: int = SAMPLES):
    torch.manual_seed(3)
    reconstruction = LinearReconstruction(DIM, ATOMS, space(ATOMS)).to(dtype)
    reconstruction.normalize()
    energy = reconstruction + L1(space(ATOMS), weight).to(dtype)
    y = torch.randn(samples, DIM, dtype=dtype)
    return energy, y, reconstruction.W.detach()


def search(solver, energy, y: Tensor, **options):
    with torch.no_grad():
        return solve(solver, energy.given(y=y), **{"steps": 5000, "tol": 1e-8, **options})


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("weight", [0.1, 0.6])
def test_the_codes_are_those_of_scikit_learn(solver, weight):
    from sklearn.linear_model import Lasso

    energy, y, dictionary = problem(weight)
    found = search(solver, energy, y)
    oracle = Lasso(weight / DIM, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(dictionary.numpy(), y.T.numpy())
    wanted = torch.from_numpy(oracle.coef_)
    assert found.converged.all()
    torch.testing.assert_close(found.value, wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.energy, energy(y=y, z=wanted), atol=1e-9, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_the_optimality_conditions_hold(solver):
    weight = 0.3
    energy, y, dictionary = problem(weight)
    z = search(solver, energy, y).value
    correlation = (y - z @ dictionary.T) @ dictionary
    used = z.abs() > 1e-7
    torch.testing.assert_close(correlation[used], weight * z.sign()[used], atol=1e-6, rtol=0)
    assert (correlation.abs() <= weight + 1e-6).all()
    assert 0 < used.sum() < used.numel()


@pytest.mark.parametrize("solver", [ISTA(), FISTA(), ADMM(), CoordinateDescent(), ActiveSet()], ids=str)
def test_codes_that_may_not_be_negative(solver):
    weight = 0.1
    energy, y, dictionary = problem(weight, NonNegative)
    z = search(solver, energy, y).value
    assert (z >= 0).all()
    correlation = (y - z @ dictionary.T) @ dictionary
    assert (correlation <= weight + 1e-6).all()
    assert (z * (correlation - weight)).abs().max() < 1e-6
    assert (z > 0).any()


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_a_sample_alone_gets_the_same_code(solver):
    energy, y, _ = problem(0.2)
    together = search(solver, energy, y).value
    alone = torch.cat([search(solver, energy, row[None]).value for row in y])
    torch.testing.assert_close(together, alone, atol=1e-7, rtol=0)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_single_precision_agrees_with_double(solver):
    single, y, _ = problem(0.2, dtype=torch.float32)
    double = problem(0.2)[0]
    double.load_state_dict(single.state_dict())
    found = search(solver, single, y, tol=1e-5)
    exact = search(solver, double.double(), y.double())
    assert found.value.dtype == torch.float32
    torch.testing.assert_close(found.energy.double(), exact.energy, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.value.double(), exact.value, rtol=0, atol=1e-2)


@pytest.mark.parametrize("solver", [ADMM(), ActiveSet(), CoordinateDescent()], ids=str)
def test_the_duality_gap_bounds_the_distance_to_the_optimum(solver):
    energy, y, _ = problem(0.2)
    best = search(FISTA(), energy, y).energy
    for steps in (0, 1, 2, 4):
        early = search(solver, energy, y, steps=steps)
        assert (early.info["duality_gap"] >= early.energy - best - 1e-12).all()
    assert (search(solver, energy, y).info["duality_gap"] < 1e-7).all()


def test_the_gap_is_infinite_where_the_smooth_part_is_negative():
    energy, y, dictionary = problem(0.2)
    quadratic = Quadratic(dictionary.T @ dictionary).given(linear=y @ dictionary, constant=y.new_zeros(len(y)))
    z = search(ADMM(), energy, y).value
    assert certificate(quadratic + energy.terms[1], z)["duality_gap"].isinf().all()


def test_fista_comes_down_as_one_over_the_square_of_the_steps():
    energy, y, dictionary = problem(0.02)
    optimum = search(FISTA(), energy, y)
    curvature = torch.linalg.eigvalsh(dictionary.T @ dictionary)[-1]
    for steps in (1, 2, 5, 10, 20, 40):
        above = search(FISTA(), energy, y, steps=steps, tol=0.0).energy - optimum.energy
        bound = 2 * curvature * optimum.value.square().sum(1) / (steps + 1) ** 2
        assert (above <= bound + 1e-12).all()


def test_a_restart_never_lets_momentum_run_uphill_for_long():
    energy, y, _ = problem(0.02)
    best = search(FISTA(), energy, y).energy
    trajectory = search(FISTA(), energy, y, steps=200, tol=0.0, record=1).info["trajectory"]
    above = (energy(y=y.expand(len(trajectory), *y.shape), z=trajectory) - best).sum(1)
    slow = search(ISTA(), energy, y, steps=200, tol=0.0).energy.sum() - best.sum()
    assert above[-1] < 0.1 * slow
    highest_later = above.flip(0).cummax(0).values.flip(0)
    assert (highest_later[20:] <= above[:-20] + 1e-12).all()


@pytest.mark.parametrize("solver", [CoordinateDescent(), GreedyCoordinateDescent(), ActiveSet(sweeps=1)], ids=str)
def test_descent_never_climbs(solver):
    energy, y, _ = problem(0.05)
    trajectory = search(solver, energy, y, steps=30, tol=0.0, record=1).info["trajectory"]
    energies = energy(y=y.expand(len(trajectory), *y.shape), z=trajectory)
    assert (energies.diff(dim=0) <= 1e-12).all()


def test_codes_of_many_lengths_are_worked_on_in_turns(monkeypatch):
    from lowland.inference import active_set

    energy, y, _ = problem(0.2, samples=100)
    y = y * torch.linspace(0, 2, 100, dtype=torch.float64)[:, None]
    whole = search(ActiveSet(), energy, y)
    monkeypatch.setattr(active_set, "CHUNK", 1)
    turns = search(ActiveSet(), energy, y)
    torch.testing.assert_close(turns.value, whole.value, atol=1e-9, rtol=0)
    assert (whole.value[0] == 0).all()


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_any_number_of_batch_dimensions(solver):
    energy, y, _ = problem(0.2)
    flat = search(solver, energy, y[:6]).value
    torch.testing.assert_close(search(solver, energy, y[:6].reshape(2, 3, DIM)).value.reshape(6, ATOMS), flat)
    torch.testing.assert_close(search(solver, energy, y[0]).value, flat[0], atol=1e-7, rtol=0)


def test_the_default_follows_how_many_atoms_matter():
    energy, y, _ = problem(3.0)
    assert default_solver(energy.given(y=y)) == ActiveSet()
    energy, y, _ = problem(0.01)
    assert default_solver(energy.given(y=y)) == ADMM()


def test_groups_go_to_a_solver_that_takes_any_proximal_step():
    torch.manual_seed(0)
    energy = LinearReconstruction(6, 8).double() + GroupL2(Real(8), 4, 0.4).double()
    y = torch.randn(5, 6).double()
    assert default_solver(energy.given(y=y)) == ADMM()
    torch.testing.assert_close(search(ADMM(), energy, y).value, search(FISTA(), energy, y).value, atol=1e-6, rtol=0)
    for solver in (ActiveSet(), CoordinateDescent()):
        with pytest.raises(StructureError, match="L1 term, got GroupL2"):
            search(solver, energy, y)


def test_a_code_in_a_box_is_refused_with_a_way_out():
    energy = LinearReconstruction(6, 8, Box(-1, 1, 8)) + L1(Box(-1, 1, 8), 0.4)
    with pytest.raises(StructureError, match="use ADMM or FISTA"):
        search(ActiveSet(), energy, torch.randn(5, 6))


def test_a_code_that_is_known_in_places():
    torch.manual_seed(1)
    energy, y, _ = problem(0.2)
    known = torch.rand(SAMPLES, ATOMS) < 0.3
    partial = Partial(torch.randn(SAMPLES, ATOMS, dtype=torch.float64), known)
    conditioned = energy.given(y=y, z=partial)
    assert default_solver(conditioned) == ADMM()
    with torch.no_grad():
        found, slow = (solve(solver, conditioned, steps=20_000, tol=1e-9) for solver in (ADMM(), ISTA()))
    assert found.converged.all()
    assert (found.value[known] == partial.value[known]).all()
    torch.testing.assert_close(found.value, slow.value, atol=1e-6, rtol=0)


def test_a_rate_for_feature_maps_is_found_by_power_iteration():
    torch.manual_seed(2)
    energy = ConvolutionalReconstruction(1, 2, 5, 4, 3).double() + L1(Real(2, 7, 6), 0.1).double()
    y = torch.randn(3, 1, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        conditioned = energy.given(y=y)
        assert default_solver(conditioned) == FISTA()
        found, slow = (solve(solver, conditioned, steps=20_000, tol=1e-7) for solver in (FISTA(), FISTA(rate=0.05)))
    assert found.converged.all()
    torch.testing.assert_close(found.energy, slow.energy, atol=1e-8, rtol=0)


def test_no_rate_follows_from_what_is_not_quadratic():
    decoder = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh())
    energy = Reconstruction(decoder, Real(6), Real(4)) + L1(Real(4), 0.1)
    with pytest.raises(StructureError, match="give the solver a rate"):
        solve(FISTA(), energy.given(y=torch.randn(3, 6)))
