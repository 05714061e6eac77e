"""Images of labels: energies, and the free energies of beliefs beside the list of all labellings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lowland.energy import BetheFreeEnergy, FactorizedFreeEnergy, FreeEnergy, Grid, KBest, Min, RandomField
from lowland.errors import SpaceError, StructureError
from lowland.inference import infer
from lowland.objectives import NegativeLogLikelihood
from lowland.spaces import Labels, Real


def field(height, width, k, seed=0, coupling=1.0, batch=(3,), everywhere=True):
    """A random field in float64, with other energies for every pair of pixels or the same for all."""
    generator = torch.Generator().manual_seed(seed)
    place = (height, width) if everywhere else (1, 1)
    unary = torch.randn(*batch, height, width, k, generator=generator, dtype=torch.float64)
    pairs = torch.randn(*batch, 2, *place, k, k, generator=generator, dtype=torch.float64)
    return RandomField(unary, coupling * pairs)


@given(
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    k=st.integers(1, 3),
    everywhere=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=20)
def test_the_energy_is_the_sum_over_pixels_and_pairs(height, width, k, everywhere, seed):
    energy = field(height, width, k, seed, everywhere=everywhere)
    y = energy.space.initial((3,), generator=torch.Generator().manual_seed(seed))
    pairs = energy.pairs.expand(3, 2, height, width, k, k)
    wanted = torch.zeros(3, dtype=torch.float64)
    for b in range(3):
        for r in range(height):
            for c in range(width):
                wanted[b] += energy.unary[b, r, c, y[b, r, c]]
                if r + 1 < height:
                    wanted[b] += pairs[b, 0, r, c, y[b, r, c], y[b, r + 1, c]]
                if c + 1 < width:
                    wanted[b] += pairs[b, 1, r, c, y[b, r, c], y[b, r, c + 1]]
    torch.testing.assert_close(energy(y=y), wanted, atol=1e-10, rtol=0)


@given(height=st.integers(1, 3), width=st.integers(1, 3), k=st.integers(1, 2), seed=st.integers(0, 999))
@settings(max_examples=25)
def test_independent_beliefs_bound_the_free_energy_wherever_they_are(height, width, k, seed):
    energy = field(height, width, k, seed)
    table = energy.table("y")
    mean_field = 2 * torch.randn(3, height, width, k, dtype=torch.float64)
    for reduction in (FreeEnergy(0.7), Min()):
        assert (FactorizedFreeEnergy(energy, reduction)(mean_field=mean_field) >= reduction(table) - 1e-10).all()


def test_the_bound_is_the_mean_energy_less_the_entropy():
    energy = field(2, 2, 3)
    relaxed = FactorizedFreeEnergy(energy, FreeEnergy(0.7))
    mean_field = torch.randn(3, 2, 2, 3, dtype=torch.float64)
    q = relaxed.beliefs(mean_field).flatten(1, 2)
    every = energy.space.enumerate().flatten(1)
    probability = torch.stack([q[:, i, every[:, i]] for i in range(4)]).prod(0)
    wanted = (probability * (energy.table("y") + probability.log() / 0.7)).sum(-1)
    torch.testing.assert_close(relaxed(mean_field=mean_field), wanted, atol=1e-10, rtol=0)


@given(height=st.integers(1, 3), width=st.integers(1, 3), seed=st.integers(0, 999))
@settings(max_examples=20)
def test_messages_are_only_compared_with_each_other(height, width, seed):
    energy = field(height, width, 2, seed)
    for reduction in (FreeEnergy(1.3), Min()):
        relaxed = BetheFreeEnergy(energy, reduction)
        messages = torch.randn(3, 4, height, width, 2, dtype=torch.float64)
        shifted = messages + torch.randn(3, 4, height, width, 1, dtype=torch.float64)
        torch.testing.assert_close(relaxed(messages=shifted), relaxed(messages=messages), atol=1e-10, rtol=0)
        torch.testing.assert_close(relaxed.sweep(shifted)[1], relaxed.sweep(messages)[1], atol=1e-10, rtol=0)
        torch.testing.assert_close(relaxed.beliefs(shifted), relaxed.beliefs(messages), atol=1e-10, rtol=0)


def test_the_network_speaks_once_and_the_pairs_are_its_parameters():
    torch.manual_seed(0)
    calls = []
    network = nn.Conv2d(1, 3, 3, padding=1)
    network.register_forward_hook(lambda *_: calls.append(1))
    grid = Grid(network, Real(1, 2, 3), Labels(3, 2, 3), 0.5)
    x, y = torch.randn(4, 1, 2, 3), torch.randint(3, (4, 2, 3))
    known = grid.given(x=x)
    torch.testing.assert_close(known(y=y), grid(x=x, y=y))
    before = len(calls)
    known(y=y), known.table("y"), known.minimize("y")()
    assert len(calls) == before
    differ = (y[:, 1:] != y[:, :-1]).sum((1, 2)) + (y[:, :, 1:] != y[:, :, :-1]).sum((1, 2))
    logits = network(x).gather(1, y[:, None]).sum((1, 2, 3))
    torch.testing.assert_close(known(y=y), 0.5 * differ - logits)
    grid(x=x, y=y).sum().backward()
    torch.testing.assert_close(grid.pairwise.grad, differ.sum().float())
    full = Grid(network, Real(1, 2, 3), Labels(3, 2, 3), torch.randn(2, 3, 3))
    assert full.pairwise.shape == (2, 3, 3) and full(x=x, y=y).shape == (4,)


def test_a_small_image_is_looked_up():
    grid = Grid.example()
    x = torch.randn(4, 1, 2, 3)
    found = infer(grid, "y", x=x)
    table = grid.table("y", x=x)
    assert table.shape == (4, 64)
    torch.testing.assert_close(found.energy, table.min(-1).values)
    torch.testing.assert_close(grid(x=x, y=found.value), found.energy)


def test_mistakes_are_sentences():
    with pytest.raises(SpaceError, match=r"RandomField: wanted pairs .* got \(2, 2, 2\)"):
        RandomField(torch.zeros(4, 4, 2), torch.zeros(2, 2, 2))
    with pytest.raises(SpaceError, match=r"Grid: wanted pairwise \(\), \(3, 3\) or \(2, 3, 3\), got \(4, 4\)"):
        Grid(nn.Identity(), Real(3, 2, 2), Labels(3, 2, 2), torch.zeros(4, 4))
    with pytest.raises(SpaceError, match="images of labels"):
        Grid(nn.Identity(), Real(3, 2, 2), Labels(3, 2))
    with pytest.raises(
        SpaceError, match=r"wanted one output for each label and pixel, \(1, 3, 2, 2\), got \(1, 4, 2, 2\)"
    ):
        Grid(nn.Identity(), Real(4, 2, 2), Labels(3, 2, 2))(x=torch.zeros(1, 4, 2, 2), y=torch.zeros(1, 2, 2).long())
    with pytest.raises(StructureError, match="wanted the reduction Min or FreeEnergy, got KBest"):
        FactorizedFreeEnergy(RandomField.example(), KBest(2))
    with pytest.raises(StructureError, match="neither a table nor a recursion"):
        NegativeLogLikelihood()(Grid.example(), {"x": torch.zeros(1, 1, 2, 3), "y": torch.zeros(1, 2, 3).long()})
    with pytest.raises(StructureError, match="BeliefPropagation, MeanField"):
        Labels(2, 28, 28).enumerate()
    with pytest.raises(SpaceError, match=r"y: wanted integers from 0 to 1 .* got 2"):
        Labels(2, 1, 3).check(torch.tensor([[0, 1, 2]]), "y")
