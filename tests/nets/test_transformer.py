"""The Transformer: attention is the gradient of a free energy; one pass and symbol by symbol agree; nothing looks ahead."""

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive, FreeEnergy
from lowland.errors import SpaceError
from lowland.inference import Ancestral, Beam
from lowland.nets import Transformer
from lowland.nets.transformer import Attention, turned, waves
from lowland.spaces import Sequence

V, S, T = 7, 6, 5


def made(seed=0, **settings):
    torch.manual_seed(seed)
    return Transformer(V, S, dim=16, heads=2, blocks=2, hidden=24, dropped=0.0, **settings).double().eval()


@pytest.fixture(params=[("pre", "sinusoidal"), ("post", "sinusoidal"), ("pre", "rotary")], ids="-".join)
def network(request):
    norm, places = request.param
    return made(norm=norm, places=places)


def pairs(seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(S, (4, 5), generator=generator)
    y = torch.randint(V, (4, T), generator=generator)
    x[1, 3:], x[2, 1:], y[0, 2:], y[3, :] = -1, -1, -1, -1
    return x, y


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


def test_one_pass_and_symbol_by_symbol_agree(network):
    x, _ = pairs()
    symbols = torch.randint(V + 1, (4, T), generator=torch.Generator().manual_seed(2))
    context = network.read(x)
    wanted, memory = network(symbols, context), network.begin(4, 1, context)
    for t in range(T):
        logits, memory = network.extend(symbols[:, t, None], memory, context)
        torch.testing.assert_close(logits[:, 0], wanted[:, t])


def test_nothing_looks_ahead(network):
    x, _ = pairs()
    symbols = torch.randint(V, (4, T), generator=torch.Generator().manual_seed(3))
    other = symbols.clone()
    other[:, 3:] = (other[:, 3:] + 1) % V
    context = network.read(x)
    before, after = network(symbols, context), network(other, context)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_padding_of_x_and_of_y_change_nothing(network):
    energy = Autoregressive(network, Sequence(V, T), Sequence(S, 5))
    x, y = pairs()
    together = energy(x=x, y=y)
    each = torch.cat([energy(x=x[i : i + 1], y=y[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, each)


def test_what_x_says_counts(network):
    energy = Autoregressive(network, Sequence(V, T), Sequence(S, 5))
    x, y = pairs()
    assert not torch.allclose(energy(x=x, y=y), energy(x=x.flip(0), y=y))


@pytest.mark.parametrize("solver", [Beam(3), Beam(3, best=2), Beam(2, coverage_weight=0.3, length_weight=0.6)])
def test_a_search_reports_the_energy_of_what_it_found(network, solver):
    energy = Autoregressive(network, Sequence(V, T), Sequence(S, 5))
    x, _ = pairs()
    found = infer(energy, "y", x=x, solver=solver)
    alone = [infer(energy, "y", x=row[None], solver=solver).value[..., 0, :] for row in x]
    assert (found.value == torch.stack(alone, -2)).all()  # also those that went on when others had ended
    torch.testing.assert_close(found.energy, energy.given(x=x).value(found.value))


def test_draws_report_their_energy(network):
    energy = Autoregressive(network, Sequence(V, T), Sequence(S, 5))
    x, _ = pairs()
    found = infer(energy, "y", x=x, solver=Ancestral(3), options={"generator": torch.Generator().manual_seed(0)})
    assert found.value.shape == (3, 4, T)
    torch.testing.assert_close(found.energy, energy.given(x=x).value(found.value))


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
