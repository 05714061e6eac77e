"""A curve through a space: its table, and that its centres move together."""

import torch
from torch import nn

from lowland import infer
from lowland.energy import TopographicMap
from lowland.spaces import Real


def test_the_table_holds_the_energies():
    energy, x = TopographicMap.example(), torch.randn(2, 4, 3)
    torch.testing.assert_close(energy.table("z", x=x), energy(x=x.unsqueeze(-2), z=torch.arange(5)))


def test_it_finds_where_on_the_curve_a_point_lies():
    curve = TopographicMap(Real(2), nn.Linear(1, 2), torch.linspace(-1, 1, 21)[:, None])
    curve.network.weight.data, curve.network.bias.data = torch.tensor([[1.0], [2.0]]), torch.zeros(2)
    found = infer(curve, "z", x=torch.tensor([[0.5, 1.0], [-1.0, -2.0], [2.0, -1.0]]))
    assert found.value.tolist() == [15, 0, 10]
    torch.testing.assert_close(found.energy, torch.tensor([0.0, 0.0, 2.5]))


def test_places_stay_and_the_network_learns():
    energy = TopographicMap.example()
    assert {name for name, _ in energy.named_parameters()} == {
        f"network.{n}.{w}" for n in (0, 2) for w in ("weight", "bias")
    }
    assert "places" in energy.state_dict()
