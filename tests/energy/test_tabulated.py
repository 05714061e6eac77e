"""A table of costs answers as the energy it was made from."""

import pytest
import torch

from lowland.energy import Tabulated
from lowland.errors import SpaceError, VariableError
from lowland.spaces import Categorical


@pytest.fixture
def costs() -> torch.Tensor:
    return torch.randn(5, 2, 3, 4)


@pytest.fixture
def energy(costs) -> Tabulated:
    return Tabulated(costs, a=Categorical(2), y=Categorical(3), z=Categorical(4))


def test_each_sample_has_its_own_table(energy, costs):
    a, y, z = torch.randint(2, (5,)), torch.randint(3, (5,)), torch.randint(4, (5,))
    assert energy(a=a, y=y, z=z).tolist() == costs[torch.arange(5), a, y, z].tolist()


def test_the_order_of_names_is_the_order_of_dimensions(energy, costs):
    assert torch.equal(energy.table("z", "a", "y"), costs.permute(0, 3, 1, 2))
    y = torch.randint(3, (5,))
    assert torch.equal(energy.table("z", "a", y=y), costs[torch.arange(5), :, y].transpose(1, 2))


def test_many_choices_for_each_sample(energy, costs):
    z = torch.randint(4, (7, 5))
    table = energy.table("a", "y", z=z)
    assert table.shape == (7, 5, 2, 3)
    assert torch.equal(table[6, 2], costs[2, :, :, z[6, 2]])


def test_given_and_select(energy, costs):
    left = energy.given(y=torch.tensor(1)).select(torch.tensor([4, 0]))
    assert torch.equal(left.table("a", "z"), costs[[4, 0], :, 1])


def test_mistakes_are_told(costs, energy):
    with pytest.raises(SpaceError, match=r"wanted costs \(\*B, 4\), got \(5, 2\)"):
        Tabulated(torch.zeros(5, 2), z=Categorical(4))
    with pytest.raises(VariableError, match="missing: y"):
        energy.table("a", "z")
