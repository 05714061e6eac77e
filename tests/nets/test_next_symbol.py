"""Networks that say what comes next: one pass and symbol by symbol agree; nothing looks ahead; padding changes nothing."""

import itertools

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive
from lowland.errors import SpaceError
from lowland.inference import Ancestral, Beam
from lowland.nets import GatedConvolution, Recurrent, Transformer
from lowland.spaces import Sequence

V, S, T = 7, 6, 5
NETWORKS = {
    "transformer-pre": lambda: Transformer(V, S, dim=16, heads=2, blocks=2, hidden=24, dropped=0.0),
    "transformer-post": lambda: Transformer(V, S, dim=16, heads=2, blocks=2, hidden=24, dropped=0.0, norm="post"),
    "transformer-rotary": lambda: Transformer(V, S, dim=16, heads=2, blocks=2, hidden=24, dropped=0.0, places="rotary"),
    "recurrent": lambda: Recurrent(V, S, dim=8, hidden=12, layers=2, dropped=0.0),
    "recurrent-backwards": lambda: Recurrent(
        V, S, dim=12, hidden=12, cell="GRU", dropped=0.0, backwards=True, tied=True
    ),
    "recurrent-dot": lambda: Recurrent(V, S, dim=8, hidden=12, attention="dot", dropped=0.0),
    "recurrent-additive": lambda: Recurrent(V, S, dim=8, hidden=12, attention="additive", dropped=0.0),
    "convolution": lambda: GatedConvolution(V, S, dim=12, dilations=(1, 1), dropped=0.0),
    "convolution-dilated": lambda: GatedConvolution(V, S, dim=12, dilations=(1, 2), dropped=0.0),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]().double().eval()


def pairs(seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(S, (4, 5), generator=generator)
    y = torch.randint(V, (4, T), generator=generator)
    x[1, 3:], x[2, 1:], y[0, 2:], y[3, :] = -1, -1, -1, -1
    return x, y


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


@pytest.mark.parametrize("solver", [Beam(3), Beam(3, best=2)], ids=["one", "two"])
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


def test_what_was_read_follows_the_beginning_that_read_it(network):
    """A wide beam finds the lowest of all sequences, in order: each beginning goes on with a memory of its own."""
    energy = Autoregressive(network, Sequence(V, 3), Sequence(S, 5))
    x, _ = pairs()
    found = infer(energy, "y", x=x, solver=Beam(V**3 + V**2, best=30))
    listed = [s for length in range(4) for s in itertools.product(range(V), repeat=length)]
    y = torch.tensor([[*s, *[-1] * (3 - len(s))] for s in listed])
    lowest = energy.given(x=x).value(y[:, None].expand(-1, 4, -1)).topk(30, 0, largest=False)
    torch.testing.assert_close(found.energy, lowest.values)
    assert (found.value == y[lowest.indices]).all()


def test_attention_adds_up_and_padding_counts_as_seen(network):
    x, _ = pairs()
    context = network.read(x)
    _, memory = network.extend(torch.full((4, 2), V), network.begin(4, 2, context), context)
    seen = network.attention(memory)
    if isinstance(network, Recurrent) and not network.attends:
        assert seen is None
        return
    padded = (x < 0).double()
    torch.testing.assert_close(seen.sum(-1), 1 + padded.sum(1, keepdim=True).expand(-1, 2))
    assert (seen[padded[:, None].expand_as(seen) > 0] == 1).all()


def test_coverage_is_weighed():
    torch.manual_seed(0)
    network = NETWORKS["recurrent-dot"]().double().eval()
    energy = Autoregressive(network, Sequence(V, T), Sequence(S, 5))
    x, _ = pairs()
    plain = infer(energy, "y", x=x, solver=Beam(V**2)).value
    covering = infer(energy, "y", x=x, solver=Beam(V**2, coverage_weight=5.0)).value
    assert ((covering >= 0).sum(1) >= (plain >= 0).sum(1)).all() and (covering != plain).any()


def test_a_text_may_be_read_in_pieces():
    torch.manual_seed(0)
    network = Recurrent(V, dim=8, hidden=12, layers=2, dropped=0.0).double().eval()
    symbols = torch.randint(V, (3, 9), generator=torch.Generator().manual_seed(0))
    whole = network(symbols, None)
    first, memory = network.through(symbols[:, :4], network.begin(3, 1, None))
    rest, _ = network.through(symbols[:, 4:], memory)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Recurrent(V, attention="dot"), "no x to attend to"),
        (lambda: Recurrent(V, dim=8, hidden=12, tied=True), "dim = hidden"),
        (lambda: GatedConvolution(V, S, size=4), "odd size"),
        (lambda: Recurrent(V).read(torch.zeros(1, 2, dtype=torch.int64)), "reads no x"),
        (lambda: GatedConvolution(V).read(torch.zeros(1, 2, dtype=torch.int64)), "reads no x"),
    ],
)
def test_what_makes_no_sense_is_refused(make, said):
    with pytest.raises(SpaceError, match=said):
        make()
