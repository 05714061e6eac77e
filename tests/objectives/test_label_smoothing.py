"""Label smoothing: values by hand, and where its lowest point lies."""

import pytest
import torch

from lowland.energy import Autoregressive, Bigram
from lowland.errors import StructureError
from lowland.objectives import EnergyLoss, LabelSmoothing
from lowland.spaces import Sequence

Y = torch.tensor([[0, 1, -1, -1], [2, -1, -1, -1]])


@pytest.fixture
def energy():
    energy = Autoregressive(Bigram(3), Sequence(3, 4))
    torch.nn.init.normal_(energy.network.table, generator=torch.Generator().manual_seed(0))
    return energy


def test_a_share_of_zero_is_maximum_likelihood_per_symbol(energy):
    smoothed, whole = LabelSmoothing(0.0)(energy, {"y": Y}).value, EnergyLoss()(energy, {"y": Y}).value
    torch.testing.assert_close(smoothed, whole * 2 / 5)  # two sequences of 2 + 1 and 1 + 1 symbols


def test_by_hand(energy):
    costs = -energy.network.table.log_softmax(-1)
    pairs = [(3, 0), (0, 1), (1, 3), (3, 2), (2, 3)]  # what is read and what comes next; 3 is the beginning and the end
    wanted = sum(0.8 * costs[read, said] + 0.2 * costs[read].mean() for read, said in pairs) / len(pairs)
    torch.testing.assert_close(LabelSmoothing(0.2)(energy, {"y": Y}).value, wanted)


def test_nothing_is_gained_by_more_certainty_than_was_asked_for(energy):
    optimizer = torch.optim.Adam(energy.parameters(), 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        LabelSmoothing(0.2)(energy, {"y": Y}).value.backward()
        optimizer.step()
    chances = energy.network.table[1].softmax(-1)
    torch.testing.assert_close(chances, torch.tensor([0.05, 0.05, 0.05, 0.85]), atol=1e-2, rtol=0)


def test_it_needs_places_and_a_share(energy):
    with pytest.raises(StructureError, match="Autoregressive"):
        LabelSmoothing()(energy + energy, {"y": Y})
    with pytest.raises(StructureError, match="below 1"):
        LabelSmoothing(1.0)
