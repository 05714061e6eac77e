"""Energies of sequences: normalised, the same in one pass and symbol by symbol, and they add."""

import itertools

import pytest
import torch

from lowland.energy import Autoregressive, Bigram, mixed, stepwise
from lowland.errors import SpaceError, StructureError
from lowland.objectives import EnergyLoss
from lowland.spaces import Real, Sequence


@pytest.fixture
def energy():
    network = Bigram(3)
    torch.nn.init.normal_(network.table, generator=torch.Generator().manual_seed(0))
    return Autoregressive(network, Sequence(3, 4), Real(4)).double()


def every(vocabulary=3, longest=4):
    """All sequences, padded."""
    found = [s for length in range(longest + 1) for s in itertools.product(range(vocabulary), repeat=length)]
    return torch.tensor([[*s, *[-1] * (longest - len(s))] for s in found])


def one_by_one(energy, x, y):
    """The energy of each sequence from the chances of its symbols."""
    memory, symbol = energy.given(x=x).begin(len(x), 1), torch.full((len(x), 1), 3)
    total, over = torch.zeros(len(x), dtype=x.dtype), torch.zeros(len(x), dtype=torch.bool)
    for t in range(y.shape[1] + 1):
        costs, memory = energy.given(x=x).extend(symbol, memory)
        wanted = torch.full((len(x),), -1) if t == y.shape[1] else y[:, t]
        symbol = torch.where(wanted < 0, 3, wanted)[:, None]
        total = torch.where(over, total, total + costs[:, 0].gather(1, symbol)[:, 0])
        over = over | (symbol[:, 0] == 3)
    return total


def test_the_chances_of_all_sequences_and_of_longer_ones_add_up_to_one(energy):
    x = torch.randn(1, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = every()
    share = (-energy(x=x.expand(len(y), 4), y=y)).exp().sum()
    chain = (energy.network.table + x).softmax(1)
    longer = torch.full((1, 4), 0.0, dtype=torch.float64)
    longer[0, 3] = 1.0  # begins where it began: at V
    for _ in range(5):
        longer = (longer @ chain) * torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(share + longer.sum(), torch.ones((), dtype=torch.float64))


def test_one_pass_and_symbol_by_symbol_agree(energy):
    y = every()
    x = torch.randn(len(y), 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(energy(x=x, y=y), one_by_one(energy, x, y))


def test_padding_and_order_change_nothing(energy):
    y, x = torch.tensor([[0, 2, -1, -1], [1, -1, -1, -1]]), torch.eye(4, dtype=torch.float64)[:2]
    both = energy(x=x, y=y)
    torch.testing.assert_close(energy(x=x.flip(0), y=y.flip(0)).flip(0), both)
    torch.testing.assert_close(energy(x=x[1:], y=y[1:]), both[1:])


def test_candidates_lead_the_batch_of_what_is_known(energy):
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = every()[:10].reshape(5, 2, 4)
    wanted = torch.stack([energy(x=x, y=candidates) for candidates in y])
    torch.testing.assert_close(energy.given(x=x).value(y), wanted)
    torch.testing.assert_close(energy.given(x=x).select(torch.tensor([1])).value(y[:, 1:]), wanted[:, 1:])


def test_lowering_it_is_maximum_likelihood():
    energy = Autoregressive(Bigram(2), Sequence(2, 1))
    y = torch.tensor([[0], [0], [0], [1], [-1]])
    optimizer = torch.optim.LBFGS(energy.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = EnergyLoss()(energy, {"y": y}).value
        loss.backward()
        return loss

    optimizer.step(closure)
    first = energy.network.table[2].softmax(0)
    torch.testing.assert_close(first, torch.tensor([0.6, 0.2, 0.2]), rtol=1e-3, atol=1e-3)


def test_sums_and_weights_are_read_symbol_by_symbol_too(energy):
    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    both = (energy + 0.5 * energy).given(x=x)
    steps, symbol = stepwise(both), torch.full((2, 1), 3)
    costs, _ = steps.extend(symbol, steps.begin(2, 1))
    alone, _ = energy.given(x=x).extend(symbol, ())
    torch.testing.assert_close(costs, 1.5 * alone)


def test_what_sees_whole_sequences_only_is_refused(energy):
    with pytest.raises(StructureError, match="symbol by symbol"):
        stepwise(energy)  # x is not given


def test_another_vocabulary_is_refused():
    with pytest.raises(SpaceError, match="knows 3 symbols, y has 5"):
        Autoregressive(Bigram(3), Sequence(5, 4))


def test_probabilities_that_are_mixed_still_add_up_to_one():
    one, other = (torch.randn(5, generator=torch.Generator().manual_seed(seed)).log_softmax(0).neg() for seed in (0, 1))
    found = mixed(one, other, 0.3)
    torch.testing.assert_close(found.neg().exp(), 0.3 * one.neg().exp() + 0.7 * other.neg().exp())
