"""Layers of units that are flat somewhere, and autoencoders whose decoder is their transpose."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.nets import UNITS, DeepAutoencoder, TiedAutoencoder, UnitLayer


@pytest.mark.parametrize("unit", UNITS)
def test_slopes_are_those_of_the_units(unit):
    layer = UnitLayer(6, 4, unit).double()
    with torch.no_grad():
        layer.bias.uniform_(-1, 2)
    x = torch.randn(7, 2, 3, dtype=torch.double)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: layer(one[None])[0]))(x).flatten(2)
    torch.testing.assert_close(layer.slopes(x).unsqueeze(-1) * layer.weight, jacobian)


@pytest.mark.parametrize(("unit", "flat"), [("relu", [-3.0, -0.1]), ("clip", [-2.0, 1.5]), ("shrink", [-0.9, 0.9])])
def test_a_unit_is_flat_where_it_says(unit, flat):
    assert UNITS[unit].slope(torch.tensor(flat)).tolist() == [0, 0]
    assert UNITS[unit].slope(torch.tensor(0.5 if unit != "shrink" else 2.0)) == 1


def test_the_decoder_is_the_transpose_of_the_encoder():
    network = TiedAutoencoder(6, 4)
    with torch.no_grad():
        network.bias.normal_()
    x = torch.rand(5, 2, 3)
    h = (x.flatten(1) @ network.encoder.weight.T + network.encoder.bias).sigmoid()
    torch.testing.assert_close(network(x), (h @ network.encoder.weight + network.bias).reshape(5, 2, 3))
    assert {name for name, _ in network.named_parameters()} == {"encoder.weight", "encoder.bias", "bias"}
    with pytest.raises(UsageError, match="unit among sigmoid, relu, clip, shrink, got 'tanh'"):
        TiedAutoencoder(6, 4, "tanh")


def test_a_deep_decoder_mirrors_its_encoder():
    network = DeepAutoencoder((6, 5, 2))
    x = torch.rand(4, 2, 3)
    assert network.encoder(x).shape == (4, 2) and network(x).shape == x.shape
    torch.testing.assert_close(network(x), network.decoder(network.encoder(x)).reshape(4, 2, 3))
    assert [tuple(part.weight.shape) for part in network.decoder if hasattr(part, "weight")] == [(5, 2), (6, 5)]
