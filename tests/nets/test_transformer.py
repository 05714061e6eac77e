"""The Transformer: attention is the gradient of a free energy, and places are what was published; it learns."""

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive, FreeEnergy
from lowland.errors import SpaceError
from lowland.inference import Beam
from lowland.nets import Transformer
from lowland.nets.transformer import Attention, turned, waves
from lowland.spaces import Sequence


def test_attention_is_the_gradient_of_a_free_energy_over_positions():
    torch.manual_seed(0)
    attention = Attention(8, 2).double()
    h = torch.randn(3, 5, 8, dtype=torch.float64)
    keys, values = attention.keys_values(h)
    question = attention.question(h).unflatten(-1, (2, 4)).transpose(1, 2)
    energies = -(question @ keys.mT) / 2.0
    shares = FreeEnergy(1.0).answer(energies)
    wanted = attention.output((shares @ values).transpose(1, 2).flatten(-2))
    torch.testing.assert_close(attention(h, keys, values, None), wanted, rtol=1e-6, atol=1e-6)
    looked, weights = attention.look(h, keys, values, torch.ones(3, 5, dtype=torch.bool))
    torch.testing.assert_close(looked, wanted, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(weights, shares.mean(1), rtol=1e-6, atol=1e-6)


def test_it_learns_to_copy():
    torch.manual_seed(0)
    network = Transformer(5, 5, dim=32, heads=2, blocks=1, hidden=32, dropped=0.0)
    energy = Autoregressive(network, Sequence(5, 4), Sequence(5, 4))
    optimizer = torch.optim.Adam(energy.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    def words(count):
        length = torch.randint(1, 5, (count, 1), generator=generator)
        return torch.randint(5, (count, 4), generator=generator).masked_fill(torch.arange(4) >= length, -1)

    for _ in range(250):
        y = words(64)
        optimizer.zero_grad()
        energy(x=y, y=y).mean().backward()
        optimizer.step()
    y = words(200)
    assert (infer(energy, "y", x=y, solver=Beam(1)).value == y).all(1).float().mean() > 0.95


def test_rotary_products_depend_on_differences_of_places_alone():
    h = torch.randn(2, 8, dtype=torch.float64)
    near = turned(h[:1], 3) @ turned(h[1:], 5).T
    torch.testing.assert_close(near, turned(h[:1], 10) @ turned(h[1:], 12).T)


def test_waves_are_the_published_ones():
    found = waves(3, 4, 0, torch.zeros(1, dtype=torch.float64))
    place = torch.arange(3, dtype=torch.float64)
    wanted = torch.stack([place.sin(), place.cos(), (place / 100).sin(), (place / 100).cos()], 1)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_without_a_source_it_reads_no_x():
    network = Transformer(5, dim=16, heads=2, blocks=1)
    assert Autoregressive(network.eval(), Sequence(5, 3))(y=torch.tensor([[1, 2, -1]])).shape == (1,)
    with pytest.raises(SpaceError, match="reads no x"):
        network.read(torch.zeros(1, 3, dtype=torch.int64))
    with pytest.raises(SpaceError, match="heads of an even length"):
        Transformer(5, dim=15, heads=2)
