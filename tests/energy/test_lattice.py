"""Lattices of random shapes against a walk along every path."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.energy import Acceptor, Entropy, FreeEnergy, KBest, Lattice, LatticePaths, Min
from lowland.errors import SpaceError, StructureError
from lowland.inference import infer

SPELL = (0, 1, -1)
ARCS, LONGEST = 12, 6


def random_lattice(seed: int, batch: int = 3) -> tuple[Lattice, torch.Tensor]:
    """Nodes in a shuffled order, a way through, and some arcs more; two arcs may join the same nodes."""
    generator = torch.Generator().manual_seed(seed)
    source, target, label = (torch.full((batch, ARCS), -1) for _ in range(3))
    counts = []
    for i in range(batch):
        nodes = int(torch.randint(2, 6, (), generator=generator))
        inner = 1 + torch.randperm(nodes - 2, generator=generator) if nodes > 2 else torch.empty(0, dtype=torch.int64)
        order = [0, *inner.tolist(), nodes - 1]
        pairs = [(order[a], order[a + 1]) for a in range(nodes - 1)]
        while len(pairs) < nodes + int(torch.randint(0, 6, (), generator=generator)):
            a, b = sorted(torch.randperm(nodes, generator=generator)[:2].tolist())
            pairs.append((order[a], order[b]))
        pairs = pairs[:ARCS]
        shuffled = torch.randperm(len(pairs), generator=generator).tolist()
        for place, k in enumerate(shuffled):
            source[i, place], target[i, place] = pairs[k]
            label[i, place] = int(torch.randint(0, 3, (), generator=generator))
        counts.append(nodes)
    energies = torch.randn(batch, ARCS, dtype=torch.float64, generator=generator)
    return Lattice(source, target, label, torch.tensor(counts)), energies


def walks(lattice: Lattice, sample: int, node: int = 0):
    if node == int(lattice.nodes[sample]) - 1:
        yield []
    for arc in range(ARCS):
        if int(lattice.source[sample, arc]) == node and node != int(lattice.nodes[sample]) - 1:
            for rest in walks(lattice, sample, int(lattice.target[sample, arc])):
                yield [arc, *rest]


def model() -> LatticePaths:
    grammar = Acceptor.of("junk* (digit junk*)*", 3, digit=(0, 1), junk=2)
    return LatticePaths(grammar, SPELL, arcs=ARCS, longest=LONGEST, max_length=LONGEST)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000))
def test_every_reduction_is_that_of_all_walks(seed):
    lattice, x = random_lattice(seed)
    structure, _ = model().structure("y", "z", x=x, lattice=lattice)
    every = [torch.stack([x[i, walk].sum() for walk in walks(lattice, i)]) for i in range(3)]
    torch.testing.assert_close(structure.reduce(Min()), torch.stack([e.min() for e in every]), rtol=1e-10, atol=1e-10)
    free = torch.stack([-torch.logsumexp(-2 * e, 0) / 2 for e in every])
    torch.testing.assert_close(structure.reduce(FreeEnergy(2.0)), free, rtol=1e-10, atol=1e-10)
    two = torch.stack([torch.cat([e, e.new_full((2,), torch.inf)]).sort().values[:2] for e in every])
    torch.testing.assert_close(structure.reduce(KBest(2)), two, rtol=1e-10, atol=1e-10)
    entropy = torch.stack([torch.distributions.Categorical(logits=-e).entropy() for e in every])
    torch.testing.assert_close(structure.reduce(Entropy()), entropy, rtol=1e-9, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100_000))
def test_the_best_path_has_the_lowest_energy_and_its_string_is_spelt(seed):
    lattice, x = random_lattice(seed)
    energy = model()
    string = infer(energy.minimize("z"), "y", x=x, lattice=lattice)
    path = infer(energy.given(x=x, lattice=lattice, y=string.value), "z")
    for i in range(3):
        best = min(walks(lattice, i), key=lambda walk: x[i, walk].sum().item())
        assert [arc for arc in path.value[i].tolist() if arc >= 0] == best
        spelt = [SPELL[int(lattice.label[i, arc])] for arc in best]
        assert [s for s in string.value[i].tolist() if s >= 0] == [s for s in spelt if s >= 0]
    torch.testing.assert_close(energy(x=x, lattice=lattice, y=string.value, z=path.value), path.energy)
    broken = path.value.clone()
    broken[:, 0] = -1
    assert energy(x=x, lattice=lattice, y=string.value, z=broken).isinf().all()


def test_slopes_agree_with_finite_differences():
    lattice, x = random_lattice(7)
    energy = model()

    def reduced(x):
        return energy.structure("y", "z", x=x, lattice=lattice)[0].reduce(FreeEnergy(1.0))

    assert torch.autograd.gradcheck(reduced, x.requires_grad_())


def test_shapes_that_are_no_lattice_are_refused_by_sample():
    arcs = torch.tensor([[0, 1], [0, 1]])
    ends = torch.tensor([[1, 2], [1, 2]])
    none, nodes = torch.zeros_like(arcs), torch.tensor([3, 3])
    with pytest.raises(StructureError, match="sample 1 has a cycle"):
        Lattice(
            torch.tensor([[0, 1, 1], [0, 1, 1]]),
            torch.tensor([[1, 2, 2], [1, 0, 2]]),
            torch.zeros(2, 3, dtype=torch.int64),
            nodes,
        )
    with pytest.raises(StructureError, match="sample 1 has no path"):
        Lattice(torch.tensor([[0, 1], [0, 0]]), torch.tensor([[1, 2], [1, 1]]), none, nodes)
    with pytest.raises(SpaceError, match="has 2 nodes, but arc 1 goes from 1 to 2"):
        Lattice(arcs, ends, none, torch.tensor([2, 3]))
    with pytest.raises(StructureError, match="empty or a dead end"):
        Lattice(torch.full((1, 2), -1), torch.full((1, 2), -1), torch.full((1, 2), -1), torch.tensor([3]))
