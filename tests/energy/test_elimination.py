"""Minimising and marginalising: bounds, limits, nesting, gradients, closed forms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lowland.energy import L2, FreeEnergy, Function, KBest, LinearReconstruction, Min, NetworkTable, Sample
from lowland.errors import SpaceError, StructureError
from lowland.inference import LBFGS
from lowland.spaces import Categorical, Real

tables = st.lists(st.lists(st.floats(-50, 50), min_size=5, max_size=5), min_size=1, max_size=4).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)


@given(tables, st.floats(0.01, 100))
def test_the_free_energy_lies_just_below_the_minimum(table, beta):
    free, lowest = FreeEnergy(beta)(table), Min()(table)
    assert (free <= lowest + 1e-9).all()
    assert (lowest <= free + math.log(5) / beta + 1e-9).all()


@given(tables)
def test_cold_free_energy_is_the_minimum(table):
    torch.testing.assert_close(FreeEnergy(1e6)(table), Min()(table), atol=1e-5, rtol=0)


@given(tables, st.floats(-20, 20))
def test_adding_a_constant_changes_no_answer(table, constant):
    for reduction in (Min(), FreeEnergy(0.7)):
        torch.testing.assert_close(reduction(table + constant), reduction(table) + constant)
    torch.testing.assert_close(
        FreeEnergy(0.7).answer(table + constant), FreeEnergy(0.7).answer(table), atol=1e-7, rtol=1e-7
    )
    chosen = (Min().answer(table + constant) * table).sum(-1)
    torch.testing.assert_close(chosen, table.amin(-1), atol=1e-9, rtol=1e-9)


@given(tables, st.floats(0.05, 5))
def test_the_gradient_of_the_free_energy_is_the_posterior(table, beta):
    torch.testing.assert_close(FreeEnergy(beta).answer(table), torch.softmax(-beta * table, -1))


@given(tables)
def test_the_gradient_of_the_minimum_is_one_hot_at_the_argmin(table):
    answer = Min().answer(table)
    assert (answer.sum(-1) == 1).all() and (answer.max(-1).values == 1).all()
    torch.testing.assert_close((answer * table).sum(-1), table.amin(-1))


def test_k_best_are_the_lowest_in_order_and_padded():
    table = torch.tensor([[3.0, 1.0, 2.0]])
    assert KBest(2)(table).tolist() == [[1.0, 2.0]]
    assert KBest(2).answer(table).tolist() == [[[0, 1, 0], [0, 0, 1]]]
    assert KBest(4)(table).tolist() == [[1.0, 2.0, 3.0, math.inf]]


def test_samples_come_with_the_frequencies_of_the_posterior():
    table = torch.tensor([0.0, 1.0, 2.0]).expand(40_000, 3)
    draws = Sample(1.5, torch.Generator().manual_seed(0)).answer(table)
    assert (draws.sum(-1) == 1).all()
    torch.testing.assert_close(draws.mean(0), torch.softmax(-1.5 * table[0], -1), atol=0.01, rtol=0)


def test_a_cold_or_negative_temperature_is_refused():
    for beta in (0.0, -1.0):
        with pytest.raises(SpaceError, match="beta"):
            FreeEnergy(beta)


def test_elimination_nests_in_any_order_of_the_same_kind():
    energy = Function(lambda x, y, z: (x - y - 2 * z).abs(), x=Real(), y=Categorical(3), z=Categorical(4))
    x = torch.linspace(-1, 9, 7)
    table = energy.table("y", "z", x=x)
    torch.testing.assert_close(energy.minimize("z").minimize("y")(x=x), table.amin((1, 2)))
    both = -torch.logsumexp(-table, (1, 2))
    torch.testing.assert_close(energy.marginalize("z").marginalize("y")(x=x), both)
    torch.testing.assert_close(energy.marginalize("y").marginalize("z")(x=x), both)
    mixed = energy.minimize("z").marginalize("y", 2.0)
    torch.testing.assert_close(mixed(x=x), -torch.logsumexp(-2 * table.amin(2), 1) / 2)


def test_given_and_elimination_commute():
    energy = NetworkTable(nn.Linear(2, 3), Real(2), 3)
    x = torch.randn(4, 2)
    torch.testing.assert_close(energy.marginalize("y").given(x=x)(), energy.given(x=x).marginalize("y")())


def test_a_quadratic_variable_is_eliminated_in_closed_form():
    energy = (LinearReconstruction(4, 2) + 0.5 * L2(Real(2))).double()
    y = torch.randn(3, 4, dtype=torch.float64)
    lowest = energy.minimize("z")
    torch.testing.assert_close(lowest(y=y), energy.minimize("z", LBFGS(), tol=1e-9)(y=y))
    grid = torch.linspace(-12, 12, 400, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    for beta in (0.5, 3.0):
        integral = torch.logsumexp(-beta * energy(y=y[:, None], z=z), 1) + 2 * math.log(float(grid[1] - grid[0]))
        torch.testing.assert_close(energy.marginalize("z", beta)(y=y), -integral / beta, atol=1e-5, rtol=1e-5)


def test_a_quadratic_without_a_lowest_point_is_refused():
    energy = LinearReconstruction(2, 5)
    with pytest.raises(StructureError, match="not positive definite"):
        energy.minimize("z")(y=torch.randn(3, 2))


def test_an_integral_without_a_closed_form_is_refused():
    energy = Function(lambda x, z: (x - z**3).square(), x=Real(), z=Real())
    with pytest.raises(StructureError, match="no closed form"):
        energy.marginalize("z")(x=torch.zeros(2))


def test_gradients_flow_by_the_envelope_theorem():
    energy = Function(lambda x, z: (x - z).square() + 0.3 * z**4, x=Real(), z=Real())
    x = torch.tensor([0.5, -1.2, 2.0], dtype=torch.float64, requires_grad=True)
    lowest = energy.minimize("z", LBFGS(), tol=1e-9)
    slope = torch.autograd.grad(lowest(x=x).sum(), x)[0]
    with torch.no_grad():
        rise = (lowest(x=x + 1e-4) - lowest(x=x - 1e-4)) / 2e-4
    torch.testing.assert_close(slope, rise, atol=1e-5, rtol=1e-5)
    assert lowest.answer(x=x.detach()).shape == (3,)
