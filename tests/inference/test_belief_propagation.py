"""Belief propagation: exact without loops, near with them, and honest about when it does not settle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lowland.energy import Chain, FreeEnergy, Grid, Min, RandomField, Sample, Tree
from lowland.errors import DivergenceError, SpaceError, StructureError
from lowland.inference import BeliefPropagation, default_solver, how_good, infer, solve
from lowland.spaces import Labels, Real


def field(height, width, k, seed=0, coupling=1.0):
    generator = torch.Generator().manual_seed(seed)
    unary = torch.randn(3, height, width, k, generator=generator, dtype=torch.float64)
    return RandomField(
        unary, coupling * torch.randn(3, 2, height, width, k, k, generator=generator, dtype=torch.float64)
    )


def exact_beliefs(energy, reduction):
    """The marginals of pixels, summed over all labellings."""
    every = torch.nn.functional.one_hot(energy.space.enumerate(), energy.unary.shape[-1]).double()
    return torch.einsum("be,ehwk->bhwk", reduction.answer(energy.table("y")), every)


def same(energy, reduction, solver, tolerance):
    found = solve(solver, solver.relax(energy, reduction), tol=1e-12)
    assert found.converged.all()
    torch.testing.assert_close(found.energy, reduction(energy.table("y")), atol=tolerance, rtol=0)
    beliefs = solver.relax(energy, reduction).beliefs(found.value)
    torch.testing.assert_close(beliefs, exact_beliefs(energy, reduction), atol=tolerance, rtol=0)
    return found


@given(width=st.integers(1, 6), k=st.integers(1, 3), upright=st.booleans(), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_a_row_and_a_column_are_exact(width, k, upright, seed):
    energy = field(*((width, 1) if upright else (1, width)), k, seed)
    for reduction in (FreeEnergy(1.3), Min()):
        same(energy, reduction, BeliefPropagation(), 1e-10)


@given(height=st.integers(2, 3), seed=st.integers(0, 999))
@settings(max_examples=10)
def test_a_comb_is_exact(height, seed):
    """A grid without its rows but the first is a tree; pairs of energy zero are no pairs."""
    energy = field(height, 3, 2, seed)
    energy.pairs[:, 1, 1:] = 0
    for reduction in (FreeEnergy(0.8), Min()):
        same(energy, reduction, BeliefPropagation(), 1e-10)


def test_a_long_row_is_that_of_the_exact_recursion():
    """200 pixels of 5 labels, where nothing can be listed: the recursion over chains is another way to the same numbers."""
    torch.manual_seed(0)
    width, k = 200, 5
    unary, pairs = torch.randn(2, 1, width, k).double(), torch.randn(2, k, k).double()[:, None, None]
    energy = RandomField(unary, pairs)
    chain = Chain(width, k).double()
    chain.transition.data = pairs[1, 0, 0]
    known = {"x": unary[:, 0], "length": torch.tensor([width, width])}
    found = solve(BeliefPropagation(), BeliefPropagation().relax(energy, FreeEnergy(1.0)), tol=1e-11)
    torch.testing.assert_close(found.energy, chain.marginalize("y", 1.0)(**known).detach(), atol=1e-9, rtol=0)
    assert found.converged.all() and found.steps <= width + 8
    best, exact = infer(energy, "y", solver=BeliefPropagation()), infer(chain, "y", **known)
    assert (best.value[:, 0] == exact.value).all() and best.converged.all()
    torch.testing.assert_close(best.energy, exact.energy, atol=1e-9, rtol=0)


def test_loops_are_near():
    """Over 3 × 3 pixels of 2 labels the Bethe free energy is off by hundredths where pairs are as strong as pixels."""
    for coupling, tolerance in ((0.1, 1e-4), (0.3, 2e-3), (1.0, 0.15)):
        energies = [field(3, 3, 2, seed, coupling) for seed in range(8)]
        off, beliefs_off = 0.0, 0.0
        for energy in energies:
            solver = BeliefPropagation(damping=0.5)
            found = solve(solver, solver.relax(energy, FreeEnergy(1.0)), tol=1e-10, steps=500)
            assert found.converged.all()
            off = max(off, float((found.energy - FreeEnergy(1.0)(energy.table("y"))).abs().max()))
            beliefs = solver.relax(energy, FreeEnergy(1.0)).beliefs(found.value)
            beliefs_off = max(beliefs_off, float((beliefs - exact_beliefs(energy, FreeEnergy(1.0))).abs().max()))
        assert off < tolerance and beliefs_off < 3 * tolerance, (coupling, off, beliefs_off)


def frustrated():
    """A full square of pixels that would all rather differ from a neighbour than agree, strongly: undamped messages swing."""
    torch.manual_seed(0)
    unary = 0.1 * torch.randn(2, 4, 4, 2, dtype=torch.float64)
    sign = torch.where(torch.rand(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)) < 0.5, -1.0, 1.0).double()
    return RandomField(unary, 3 * sign[..., None, None] * torch.eye(2, dtype=torch.float64))


def test_it_says_when_it_does_not_settle():
    solver = BeliefPropagation()
    found = solve(solver, solver.relax(frustrated(), FreeEnergy(2.0)), steps=200, tol=1e-6)
    change = (solver.relax(frustrated(), FreeEnergy(2.0)).sweep(found.value)[1] - found.value).abs().flatten(1).amax(1)
    assert not found.converged.all() and (change[~found.converged] > 0.1).all()
    assert (change[found.converged] < 1e-5).all()
    answer = infer(frustrated(), "y", solver=solver, reduction=FreeEnergy(2.0), options={"steps": 200, "tol": 1e-6})
    assert (answer.converged == found.converged).all() and answer.value.shape == (2, 4, 4)


def test_the_gradient_of_the_free_energy_is_the_beliefs():
    """By the envelope theorem: with the messages held fixed; along a row the pairs' gradient is the edge's marginal."""
    energy = field(1, 4, 3)
    unary, pairs = energy.unary.clone().requires_grad_(), energy.pairs.clone().requires_grad_()
    known = RandomField(unary, pairs)
    free = known.marginalize("y", 1.3, BeliefPropagation(), tol=1e-12)
    got = torch.autograd.grad(free().sum(), (unary, pairs))
    exact = torch.autograd.grad(FreeEnergy(1.3)(known.table("y")).sum(), (unary, pairs))
    torch.testing.assert_close(got[0], free.answer(), atol=1e-9, rtol=0)
    torch.testing.assert_close(got, exact, atol=1e-9, rtol=0)


def test_the_best_labels_of_a_random_field():
    energy = field(3, 3, 3, 2, 0.5)
    found = infer(energy, "y", solver=BeliefPropagation(0.5), options={"tol": 1e-9})
    torch.testing.assert_close(found.energy, energy.table("y").min(-1).values)
    torch.testing.assert_close(energy(y=found.value), found.energy)
    assert (found.info["answer"].argmax(-1) == found.value).all()
    likely = infer(energy, "y", solver=BeliefPropagation(), reduction=FreeEnergy(2.0))
    assert set(likely.info) == {"residual", "free_energy", "answer"}
    torch.testing.assert_close(likely.info["answer"].sum(-1), torch.ones(3, 3, 3, dtype=torch.float64))


def test_it_can_be_compared_with_the_list():
    energy = field(3, 3, 2, 5)
    quality = how_good(energy, "y", BeliefPropagation(0.5), options={"tol": 1e-8})
    assert quality.found == 1 and (quality.gap.abs() < 1e-9).all()


def test_a_large_image_is_labelled_without_being_told_how():
    torch.manual_seed(0)
    grid = Grid(nn.Identity(), Real(3, 12, 9), Labels(3, 12, 9), 0.4)
    x = torch.randn(2, 3, 12, 9)
    assert default_solver(grid.given(x=x)) == BeliefPropagation(0.5)
    found = infer(grid, "y", x=x)
    unaided = x.argmax(1)
    assert found.value.shape == (2, 12, 9) and (found.energy < grid(x=x, y=unaided)).all()


def test_labels_that_may_not_meet_never_do():
    """Along a row, label 2 may only follow label 1: +∞ elsewhere, and no NaN."""
    pairs = torch.zeros(2, 1, 1, 3, 3, dtype=torch.float64)
    pairs[1, 0, 0, [0, 2], 2] = torch.inf
    unary = torch.randn(4, 1, 5, 3, dtype=torch.float64)
    unary[..., 2] -= 3
    energy = RandomField(unary, pairs)
    for reduction in (FreeEnergy(1.0), Min()):
        same(energy, reduction, BeliefPropagation(), 1e-10)
        same(energy, reduction, BeliefPropagation(0.5), 1e-9)
    pairs[1] = torch.inf
    with pytest.raises(DivergenceError, match="BeliefPropagation: the energy is"):
        infer(RandomField(unary, pairs), "y", solver=BeliefPropagation())


def test_mistakes_are_sentences():
    with pytest.raises(SpaceError, match=r"wanted a damping in \[0, 1\), got 1"):
        BeliefPropagation(1.0)
    with pytest.raises(StructureError, match="BeliefPropagation: wanted an image of labels"):
        BeliefPropagation().relax(Tree.example(), Min())
    with pytest.raises(StructureError, match="looks over messages, not over y"):
        solve(BeliefPropagation(), field(2, 2, 2))
    with pytest.raises(StructureError, match="wanted the reduction Min or FreeEnergy, got Sample"):
        infer(field(2, 2, 2), "y", solver=BeliefPropagation(), reduction=Sample())
