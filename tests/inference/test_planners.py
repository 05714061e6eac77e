"""What is particular to the solvers that draw candidates; that they come near the lowest point is in their contract."""

import pytest
import torch

from lowland.energy import Function
from lowland.errors import DivergenceError, SpaceError
from lowland.inference import CEM, ICEM, MPPI, GradientCEM, MultiStart, infer, solve
from lowland.inference.cem import coloured, take
from lowland.spaces import Box, Real

SEARCHES = (CEM(200, 40), ICEM(200, 40), GradientCEM(200, 40, rate=0.1), MPPI(200))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def names(solver: object) -> str:
    return type(solver).__name__


@pytest.mark.parametrize("solver", SEARCHES, ids=names)
def test_plans_stay_in_the_box(solver):
    energy = Function(lambda a, goal: (a - goal).square().flatten(1).sum(1), a=Box(-1, 1, 4, 2), goal=Real(4, 2))
    goal = torch.full((3, 4, 2), 2.0)
    goal[1] = 0.25
    found = infer(energy, "a", goal=goal, solver=solver, options={"steps": 30, "generator": generator()})
    energy.spaces["a"].check(found.value)
    start, best = torch.zeros_like(goal), goal.clamp(-1, 1)
    gone = energy(a=start, goal=goal) - found.energy
    assert (gone >= 0.9 * (energy(a=start, goal=goal) - energy(a=best, goal=goal))).all()


@pytest.mark.parametrize("solver", SEARCHES, ids=names)
def test_where_all_candidates_lie_equally_high_the_search_goes_on(solver):
    found = solve(
        solver, Function(lambda a: 0 * a.sum(-1), a=Real(1)), torch.ones(2, 1), steps=4, generator=generator()
    )
    assert found.value.isfinite().all() and (found.energy == 0).all()


@pytest.mark.parametrize("solver", SEARCHES, ids=names)
def test_a_candidate_that_is_not_a_number_is_never_taken(solver):
    """The energy has no value left of 0, the search begins right of it, and the lowest allowed point is 0.5."""
    energy = Function(lambda a: (a - 0.5).square().sum(-1) + 0 * a.sum(-1).log(), a=Real(1))
    found = solve(solver, energy, torch.ones(2, 1), steps=20, generator=generator())
    torch.testing.assert_close(found.value, torch.full((2, 1), 0.5), atol=0.05, rtol=0)


def test_where_nothing_is_a_number_the_search_says_so():
    energy = Function(lambda a: a.sum(-1) * torch.nan, a=Real(1))
    with pytest.raises(DivergenceError, match="CEM"):
        solve(CEM(20, 5), energy, torch.ones(2, 1), steps=5, generator=generator())


def test_the_answer_of_icem_is_the_best_candidate_there_was():
    seen = []

    def watched(a):
        energies = (a - 0.3).square().sum(-1)
        seen.append(energies.min().item())
        return energies

    found = solve(ICEM(50, 5), Function(watched, a=Real(2)), torch.zeros(1, 2), steps=6, generator=generator())
    assert found.energy.item() == pytest.approx(min(seen[:-1]))


def test_icem_draws_fewer_candidates_each_time():
    drawn = []

    def watched(a):
        drawn.append(len(a))
        return a.square().sum(-1)

    solve(ICEM(100, 10, decay=2.0), Function(watched, a=Real(2)), torch.ones(1, 2), steps=4, generator=generator())
    assert drawn[1:5] == [100, 50, 25, 20]  # the first call is that of the start


@pytest.mark.parametrize("length", [8, 9])
def test_coloured_noise_has_unit_variance_and_moves_slowly(length):
    noise = coloured(torch.zeros(3, length, 2, dtype=torch.float64), 4000, 2, 2.0, generator())
    assert noise.shape == (4000, 3, length, 2)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.var().item() == pytest.approx(1, abs=0.03)
    neighbours = (noise[..., 1:, :] * noise[..., :-1, :]).mean().item()
    assert neighbours > 0.5
    white = coloured(torch.zeros(3, length, 2, dtype=torch.float64), 4000, 2, 0.0, generator())
    assert (white[..., 1:, :] * white[..., :-1, :]).mean().item() == pytest.approx(0, abs=0.02)


def test_each_sample_takes_its_own_candidates():
    candidates = torch.arange(24.0).reshape(4, 2, 3)
    index = torch.tensor([[3, 0], [1, 2]])
    torch.testing.assert_close(take(candidates, index)[0], torch.stack([candidates[3, 0], candidates[0, 1]]))
    torch.testing.assert_close(take(candidates, index)[1], torch.stack([candidates[1, 0], candidates[2, 1]]))


def test_a_cold_mppi_listens_to_the_lowest_alone():
    energy = Function(lambda a: (a - 1).square().sum(-1), a=Real(2))
    cold = solve(MPPI(50, beta=1e9), energy, torch.zeros(1, 2), steps=1, generator=generator())
    best = torch.randn(50, 1, 2, generator=generator())
    torch.testing.assert_close(cold.value, best[energy(a=best[:, 0]).argmin()])
    warm = solve(MPPI(50, beta=1e-9), energy, torch.zeros(1, 2), steps=1, generator=generator())
    torch.testing.assert_close(warm.value, best.mean(0), atol=1e-5, rtol=0)


def test_several_starts_find_the_deeper_valley():
    """Valleys at −1 and 1, the one at 1 deeper; a start at −1 stays there alone."""
    energy = Function(lambda a: ((a.square() - 1).square() - 0.2 * a).sum(-1), a=Box(-2, 2, 1))
    start = torch.full((3, 1), -1.0)
    alone = solve(MultiStart(starts=1), energy, start, steps=100)
    assert (alone.value < 0).all() and alone.converged.all()
    several = solve(MultiStart(starts=20, width=2.0), energy, start, steps=100, generator=generator())
    assert (several.value > 0).all() and (several.energy < alone.energy).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CEM(10, 20),
        lambda: CEM(10, 0),
        lambda: CEM(width=0.0),
        lambda: ICEM(decay=0.5),
        lambda: ICEM(momentum=1.0),
        lambda: MPPI(beta=0.0),
        lambda: MPPI(narrow=1.5),
        lambda: MultiStart(starts=0),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(SpaceError, match="wanted"):
        make()
