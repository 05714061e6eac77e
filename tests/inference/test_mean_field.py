"""Mean field: a bound that goes down, the limits it is exact in, and its unrolled steps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lowland.energy import FreeEnergy, Grid, Min, RandomField
from lowland.errors import SpaceError, StructureError
from lowland.inference import BeliefPropagation, MeanField, infer, solve
from lowland.spaces import Labels, Real


def field(height, width, k, seed=0, coupling=1.0):
    generator = torch.Generator().manual_seed(seed)
    unary = torch.randn(3, height, width, k, generator=generator, dtype=torch.float64)
    return RandomField(
        unary, coupling * torch.randn(3, 2, height, width, k, k, generator=generator, dtype=torch.float64)
    )


@given(height=st.integers(1, 3), width=st.integers(1, 3), k=st.integers(1, 2), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_the_colours_in_turn_lower_the_bound_at_every_step(height, width, k, seed):
    energy = field(height, width, k, seed)
    for reduction in (FreeEnergy(1.3), Min()):
        relaxed = MeanField().relax(energy, reduction)
        found = solve(MeanField(), relaxed, steps=24, tol=1e-10, record=1)
        bounds = torch.stack([relaxed(mean_field=value) for value in found.info["trajectory"]])
        assert (bounds.diff(dim=0) <= 1e-10).all()
        assert (found.energy >= reduction(energy.table("y")) - 1e-10).all()


def test_it_is_exact_where_pixels_do_not_interact():
    energy = field(3, 2, 3, coupling=0.0)
    for reduction in (FreeEnergy(0.7), Min()):
        for solver in (MeanField(), MeanField(0.5, checkerboard=False)):
            found = solve(solver, solver.relax(energy, reduction), tol=1e-10)
            torch.testing.assert_close(found.energy, reduction(energy.table("y")), atol=1e-9, rtol=0)


def test_the_bound_tightens_as_pixels_interact_less():
    gaps = []
    for coupling in (1.0, 0.3, 0.1):
        energy = field(3, 3, 2, 1, coupling)
        found = solve(MeanField(), MeanField().relax(energy, FreeEnergy(1.0)), tol=1e-10)
        assert found.converged.all()
        gaps.append((found.energy - FreeEnergy(1.0)(energy.table("y"))).max())
    assert gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.02


def test_with_min_it_stops_where_no_single_pixel_can_do_better():
    energy = field(4, 4, 3, 2)
    found = infer(energy, "y", solver=MeanField())
    assert found.converged.all()
    torch.testing.assert_close(found.energy, found.info["free_energy"])
    for r in range(4):
        for c in range(4):
            for label in range(3):
                other = found.value.clone()
                other[:, r, c] = label
                assert (energy(y=other) >= found.energy - 1e-10).all()


def test_all_at_once_may_swing_and_says_so():
    """Two labels that strongly want to differ from their neighbours, and nothing to begin with: all pixels change their mind."""
    unary = torch.tensor([[0.0, 0.1], [0.2, 0.0]], dtype=torch.float64)[:, None, None].expand(2, 4, 4, 2)
    energy = RandomField(unary, 5 * torch.eye(2).double().expand(2, 1, 1, 2, 2))
    parallel = MeanField(checkerboard=False)
    swinging = solve(parallel, parallel.relax(energy, FreeEnergy(1.0)), steps=200)
    assert not swinging.converged.any() and (swinging.info["residual"] > 1).all()
    settled = solve(MeanField(), MeanField().relax(energy, FreeEnergy(1.0)), steps=200)
    assert settled.converged.all() and (settled.energy < swinging.energy).all()


def test_five_steps_unrolled_are_a_recurrent_network():
    """Zheng et al., algorithm 1, with nearest neighbours for its filters: softmax, pass messages, compare labels, add, again."""
    torch.manual_seed(0)
    unary, compare = torch.randn(2, 3, 4, 3).double(), torch.randn(3, 3).double()

    def network(logits, compare):
        compare, q = compare + compare.T, logits.softmax(-1)
        for _ in range(5):
            padded = nn.functional.pad(q, (0, 0, 1, 1, 1, 1))
            passed = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
            q = (logits - passed @ compare).softmax(-1)
        return q

    def ours(logits, compare):
        energy = RandomField(-logits, (compare + compare.T).expand(2, 1, 1, 3, 3))
        solver = MeanField(checkerboard=False)
        return energy.marginalize("y", 1.0, solver, differentiate="unroll", steps=5).answer()

    logits, compare = unary.requires_grad_(), compare.requires_grad_()
    torch.testing.assert_close(ours(logits, compare), network(logits, compare), atol=1e-12, rtol=0)
    way = torch.randn(2, 3, 4, 3).double()
    got = torch.autograd.grad((ours(logits, compare) * way).sum(), (logits, compare))
    wanted = torch.autograd.grad((network(logits, compare) * way).sum(), (logits, compare))
    torch.testing.assert_close(got, wanted, atol=1e-10, rtol=0)


@pytest.mark.parametrize("solver", [MeanField(), MeanField(0.3, checkerboard=False), BeliefPropagation()], ids=repr)
def test_pairs_that_have_no_weight_yet_can_be_learnt(solver):
    """Where nothing moves, gradients of the unrolled steps still flow."""
    unary, weight = torch.randn(2, 3, 3, 2).double(), torch.zeros((), dtype=torch.float64, requires_grad=True)

    def belief(weight):
        energy = RandomField(unary, weight * (1 - torch.eye(2).double()).expand(2, 1, 1, 2, 2))
        return energy.marginalize("y", 1.0, solver, differentiate="unroll", steps=6).answer()[0, 1, 1, 0]

    (got,) = torch.autograd.grad(belief(weight), weight)
    with torch.no_grad():
        wanted = (belief(weight + 1e-5) - belief(weight - 1e-5)) / 2e-5
    torch.testing.assert_close(got, wanted, atol=1e-7, rtol=0)
    assert got != 0


def test_the_gradient_of_the_bound_is_the_beliefs():
    energy = field(3, 3, 2)
    unary = energy.unary.clone().requires_grad_()
    bound = RandomField(unary, energy.pairs).marginalize("y", 1.0, MeanField(), tol=1e-12)
    (got,) = torch.autograd.grad(bound().sum(), unary)
    torch.testing.assert_close(got, bound.answer(), atol=1e-9, rtol=0)


def test_a_grid_learns_to_clean_up():
    """Blocks under noise: the pairs' weight is learnt through the bound, and helps."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (12, 3, 3), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    noise = torch.randn(12, 12, 12, generator=generator)
    x = torch.stack([1 - y, y], 1) + torch.stack([noise, -noise], 1)
    grid = Grid(nn.Identity(), Real(2, 12, 12), Labels(2, 12, 12), 0.0)
    free_energy = grid.marginalize("y", 1.0, MeanField(), steps=20)
    optimizer = torch.optim.Adam(grid.parameters(), 0.2)
    for _ in range(15):
        loss = (grid(x=x, y=y) - free_energy(x=x)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert grid.pairwise > 0.5
    alone, together = (x.argmax(1) != y).float().mean(), (infer(grid, "y", x=x).value != y).float().mean()
    assert together < 0.5 * alone


def test_mistakes_are_sentences():
    with pytest.raises(SpaceError, match=r"wanted a damping in \[0, 1\), got -0.1"):
        MeanField(-0.1)
    forbidden = RandomField(torch.zeros(2, 2, 2), torch.full((2, 1, 1, 2, 2), torch.inf))
    with pytest.raises(StructureError, match="a pair of labels is forbidden"):
        infer(forbidden, "y", solver=MeanField())
    with pytest.raises(StructureError, match="looks over beliefs, not over y"):
        solve(MeanField(), field(2, 2, 2))
