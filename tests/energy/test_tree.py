"""A recursion over trees beside the list of all labellings."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from lowland.energy import Chain, Entropy, FreeEnergy, KBest, Min, Sample, Tree
from lowland.errors import SpaceError
from lowland.inference import infer
from lowland.objectives import Hinge, MarginRescaling, NegativeLogLikelihood, Perceptron
from lowland.spaces import Real, Trees

REDUCTIONS = [Min(), FreeEnergy(1.3), KBest(4), Sample(0.7), Entropy(0.9)]


def problem(nodes, states, seed, edges=True, batch=4):
    """A tree energy in float64, some trees of different sizes, and the energy of every labelling of each ``(B, (K + 1)^N)``."""
    generator = torch.Generator().manual_seed(seed)
    energy = Tree(nodes, states, edges=edges).double()
    energy.pairwise.data.normal_(generator=generator)
    known = {
        "x": torch.randn(batch, nodes, states, generator=generator, dtype=torch.float64),
        "parents": Trees(nodes).initial((batch,), generator=generator),
        "length": torch.randint(nodes + 1, (batch,), generator=generator),
    }
    known["length"][0] = nodes
    if edges:
        known["edges"] = torch.randn(batch, nodes, states, states, generator=generator, dtype=torch.float64)
    every = torch.tensor(list(itertools.product(range(-1, states), repeat=nodes)))
    table = energy(**{name: value.unsqueeze(1) for name, value in known.items()}, y=every)
    return energy, known, every, table.detach()


def marginals(table, every, nodes, states, parents, length, beta):
    """Those of nodes and of edges, summed over all labellings of each tree."""
    weight = (-beta * table).softmax(-1)
    one_hot = torch.nn.functional.one_hot(every + 1, states + 1)[..., 1:].double()
    node = torch.einsum("be,enk->bnk", weight, one_hot)
    edge = torch.zeros(len(table), nodes, states, states, dtype=torch.float64)
    for b, i in itertools.product(range(len(table)), range(nodes)):
        if i < length[b] and (parent := int(parents[b, i])) >= 0:
            edge[b, i] = torch.einsum("e,ej,ek->jk", weight[b], one_hot[:, parent], one_hot[:, i])
    return node, edge


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda r: type(r).__name__)
@settings(max_examples=25)
@given(nodes=st.integers(1, 5), states=st.integers(1, 3), seed=st.integers(0, 2**31), edges=st.booleans())
def test_every_reduction_is_that_of_all_labellings(reduction, nodes, states, seed, edges):
    energy, known, every, table = problem(nodes, states, seed, edges)
    structure, _ = energy.structure("y", **known)
    torch.testing.assert_close(structure.reduce(reduction), reduction(table), atol=1e-10, rtol=0)
    rank = (table.isfinite().sum(-1, keepdim=True) - 1).clamp_max(2)
    right = every[table.argsort(-1).gather(-1, rank).squeeze(-1)]
    others = table.masked_fill((every == right.unsqueeze(1)).all(-1), torch.inf)
    structure, _ = energy.structure("y", other_than=right, **known)
    torch.testing.assert_close(structure.reduce(reduction), reduction(others), atol=1e-10, rtol=0)


@settings(max_examples=25)
@given(nodes=st.integers(1, 5), states=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_gradients_are_the_marginals_of_nodes_and_edges(nodes, states, seed):
    energy, known, every, table = problem(nodes, states, seed)
    structure, _ = energy.structure("y", **known)
    node, edge = marginals(table, every, nodes, states, known["parents"], known["length"], 1.3)
    torch.testing.assert_close(structure.share(FreeEnergy(1.3))[1], node, atol=1e-10, rtol=0)
    torch.testing.assert_close(structure.edges(FreeEnergy(1.3)), edge, atol=1e-10, rtol=0)


@settings(max_examples=25)
@given(nodes=st.integers(1, 5), states=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_the_best_labellings_are_read_off_the_gradient(nodes, states, seed):
    energy, known, _, table = problem(nodes, states, seed)
    found = infer(energy, "y", **known)
    torch.testing.assert_close(found.energy, table.min(-1).values, atol=1e-10, rtol=0)
    torch.testing.assert_close(energy(**known, y=found.value), found.energy, atol=1e-10, rtol=0)
    best = infer(energy, "y", **known, reduction=KBest(3))
    again = energy(**{name: value.unsqueeze(1) for name, value in known.items()}, y=best.value)
    there = best.energy.isfinite()
    torch.testing.assert_close(again[there], best.energy[there], atol=1e-10, rtol=0)
    assert (best.value[~there] == -1).all()
    for values, real in zip(best.value, there, strict=True):
        assert len(values[real].unique(dim=0)) == real.sum()


def test_gradients_agree_with_finite_differences():
    energy, known, _, _ = problem(4, 2, 4, batch=3)
    structure, _ = energy.structure("y", **known)
    start = [part.detach().requires_grad_() for part in (structure.potentials, structure.pairs)]
    for reduction in (FreeEnergy(0.8), Entropy(0.8), Min()):

        def reduced(potentials, pairs, reduction=reduction):
            return replace(structure, potentials=potentials, pairs=pairs).reduce(reduction)

        assert torch.autograd.gradcheck(reduced, start, atol=1e-7)


def test_draws_have_the_frequencies_of_the_labellings():
    energy, known, every, table = problem(4, 2, 3, batch=1)
    count = 4000
    many = {name: value.expand(count, *value.shape[1:]) for name, value in known.items()}
    found = infer(energy, "y", **many, reduction=Sample(0.8, torch.Generator().manual_seed(0)))
    drawn = found.value
    torch.testing.assert_close(found.energy, energy(**many, y=drawn).detach())
    probability = (-0.8 * table[0]).softmax(-1)
    observed = (drawn.unsqueeze(1) == every).all(-1).sum(0)
    assert observed[probability == 0].sum() == 0
    keep = probability > 0
    assert chisquare(observed[keep], count * probability[keep]).pvalue > 0.001


def test_the_free_energy_tends_to_the_minimum():
    energy, known, _, table = problem(5, 3, 5)
    lowest = energy.minimize("y")(**known)
    for beta in (1.0, 30.0, 1e4):
        free = energy.marginalize("y", beta)(**known)
        allowed = table.isfinite().sum(-1).double()
        assert (free <= lowest + 1e-12).all() and (lowest <= free + allowed.log() / beta + 1e-12).all()
    torch.testing.assert_close(free, lowest, atol=1e-3, rtol=0)


def test_padding_and_the_order_of_the_batch_change_nothing():
    energy, known, _, _ = problem(5, 3, 6)
    free = energy.marginalize("y", 1.0)
    wide = Tree(8, 3, edges=True).double()
    wide.pairwise.data = energy.pairwise.data
    padded = {
        "x": torch.nn.functional.pad(known["x"], (0, 0, 0, 3), value=7.0),
        "edges": torch.nn.functional.pad(known["edges"], (0, 0, 0, 0, 0, 3), value=-9.0),
        "parents": torch.nn.functional.pad(known["parents"], (0, 3), value=2),
        "length": known["length"],
    }
    torch.testing.assert_close(wide.marginalize("y", 1.0)(**padded), free(**known), atol=1e-12, rtol=0)
    turned = {name: value.flip(0) for name, value in known.items()}
    torch.testing.assert_close(free(**turned), free(**known).flip(0), atol=1e-12, rtol=0)


def test_a_bush_and_a_pole():
    """A root with 300 children, and 300 nodes one above the other, in float32."""
    nodes = 300
    energy = Tree(nodes, 3)
    energy.pairwise.data = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.5]])
    x = torch.randn(2, nodes, 3)
    parents = torch.stack([torch.zeros(nodes, dtype=torch.int64), torch.arange(nodes) - 1])
    parents[0, 0] = -1
    known = {"x": x, "parents": parents, "length": torch.tensor([nodes, nodes])}
    free = energy.marginalize("y", 1.0)(**known)
    pairs = energy.pairwise.detach().double()
    below = -(-(pairs + x[0, 1:, None].double())).logsumexp(-1)
    bush = -(-(x[0, 0].double() + below.sum(0))).logsumexp(-1)
    pole = x[1, -1].double()
    for i in range(nodes - 2, -1, -1):
        pole = x[1, i].double() - (-(pairs + pole)).logsumexp(-1)
    torch.testing.assert_close(free.double(), torch.stack([bush, -(-pole).logsumexp(-1)]), atol=0, rtol=1e-6)
    best = infer(energy, "y", **known, reduction=KBest(5))
    assert (best.energy.diff(dim=-1) >= 0).all() and best.converged.all()
    again = energy(**{name: value.unsqueeze(1) for name, value in known.items()}, y=best.value)
    torch.testing.assert_close(again, best.energy, rtol=1e-5, atol=1e-3)


def test_a_pole_is_a_chain():
    chain, pole = Chain(40, 4, edges=True).double(), Tree(40, 4, edges=True).double()
    chain.transition.data.normal_()
    pole.pairwise = chain.transition
    x, edges = torch.randn(3, 40, 4).double(), torch.randn(3, 39, 4, 4).double()
    length = torch.tensor([40, 7, 1])
    along = {"x": x, "length": length, "edges": edges}
    upward = {
        **along,
        "edges": torch.nn.functional.pad(edges, (0, 0, 0, 0, 1, 0)),
        "parents": (torch.arange(40) - 1).expand(3, -1),
    }
    for reduction in (Min(), FreeEnergy(0.6), KBest(5), Entropy(0.6)):
        one, other = chain.structure("y", **along)[0], pole.structure("y", **upward)[0]
        torch.testing.assert_close(other.share(reduction), one.share(reduction), atol=1e-9, rtol=0)


def test_the_network_speaks_once():
    calls = []
    network = torch.nn.Linear(5, 3)
    network.register_forward_hook(lambda *_: calls.append(1))
    energy = Tree(4, 3, network, Real(4, 5))
    known = {
        "x": torch.randn(2, 4, 5),
        "parents": torch.tensor([-1, 0, 0, 1]).expand(2, -1),
        "length": torch.tensor([4, 3]),
    }
    y = torch.tensor([[0, 1, 2, 0], [2, 1, 0, -1]])
    conditioned = energy.given(**known)
    torch.testing.assert_close(conditioned(y=y), energy(**known, y=y))
    before = len(calls)
    conditioned(y=y), conditioned.minimize("y")(), infer(conditioned, "y")
    assert len(calls) == before
    conditioned(y=y).sum().backward()
    assert network.weight.grad is not None and energy.pairwise.grad is not None


def test_what_is_forbidden_costs_infinity_and_never_nan():
    energy, known, _, _ = problem(4, 2, 7, batch=2)
    known["length"][:] = 4
    known["x"][0, 1] = torch.inf
    known["x"][1, :, 0] = torch.inf
    for reduction in REDUCTIONS:
        structure, _ = energy.structure("y", **known)
        reduced, share = structure.share(reduction)
        assert not share.isnan().any() and not structure.edges(reduction).isnan().any()
        if not isinstance(reduction, Entropy):
            assert (reduced[0] == torch.inf).all() and (share[0] == 0).all()
    value, energies = structure.read(Min())
    assert value.tolist() == [[-1] * 4, [1] * 4]
    torch.testing.assert_close(energies, energy(**known, y=torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])).detach())


@pytest.mark.parametrize(
    "objective", [NegativeLogLikelihood(), Perceptron(), Hinge(), MarginRescaling()], ids=lambda o: type(o).__name__
)
def test_it_learns_that_a_child_is_unlike_its_parent(objective):
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    parents = Trees(6).initial((64,), generator=generator)
    flip = torch.randint(2, (64,), generator=generator)
    depth = Trees(6).depth(parents)
    length = torch.randint(2, 7, (64,), generator=generator)
    there = torch.arange(6) < length[:, None]
    y = torch.where(there, (depth + flip[:, None]) % 2, -1)
    root = (parents == -1) & there
    x = torch.where(root, y, 2) + torch.zeros(64, 6, dtype=torch.int64)
    energy = Tree(6, 2, torch.nn.Linear(3, 2), Real(6, 3))
    batch = {"x": torch.nn.functional.one_hot(x, 3).float(), "parents": parents, "length": length, "y": y}
    optimizer = torch.optim.Adam(energy.parameters(), 0.1)
    for _ in range(40):
        loss = objective(energy, batch)
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
    found = infer(energy, "y", **{name: value for name, value in batch.items() if name != "y"})
    assert (found.value == y).all()


def test_mistakes_are_sentences():
    energy = Tree(3, 2)
    known = {"x": torch.zeros(1, 3, 2), "length": torch.tensor([3])}
    with pytest.raises(SpaceError, match=r"parents: wanted for each node an earlier one .* got 2 at index \(0, 1\)"):
        infer(energy, "y", **known, parents=torch.tensor([[-1, 2, 0]]))
    with pytest.raises(SpaceError, match="parents: wanted for each node an earlier one"):
        energy.minimize("y")(**known, parents=torch.tensor([[-1, 1, 0]]))
    with pytest.raises(SpaceError, match="at least one node, got 0"):
        Tree(0, 2)
    with pytest.raises(SpaceError, match="a network and the space of its input"):
        Tree(3, 2, torch.nn.Linear(2, 2))
    wrong = Tree(3, 2, torch.nn.Linear(2, 5), Real(3, 2))
    with pytest.raises(SpaceError, match=r"an energy for each node and label, \(1, 3, 2\), got \(1, 3, 5\)"):
        wrong(**known, parents=torch.tensor([[-1, 0, 0]]), y=torch.zeros(1, 3, dtype=torch.int64))
