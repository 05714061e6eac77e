"""Search over sequences and draws of them, against all sequences listed."""

import itertools

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive, Bigram, FreeEnergy
from lowland.errors import SpaceError, StructureError
from lowland.inference import Ancestral, Beam
from lowland.spaces import Real, Sequence

T, V, N = 4, 3, 5


@pytest.fixture
def energy():
    network = Bigram(V)
    torch.nn.init.normal_(network.table, std=2.0, generator=torch.Generator().manual_seed(0))
    return Autoregressive(network, Sequence(V, T), Real(V + 1)).double()


@pytest.fixture
def x():
    return torch.randn(N, V + 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def listed(energy, x, allowed=lambda s: True):
    """All sequences ``(M, T)`` and their energies ``(M, N)``."""
    found = [s for length in range(T + 1) for s in itertools.product(range(V), repeat=length) if allowed(s)]
    y = torch.tensor([[*s, *[-1] * (T - len(s))] for s in found])
    return y, energy.given(x=x).value(y[:, None].expand(-1, N, -1))


def test_a_wide_beam_finds_the_lowest_of_all(energy, x):
    found = infer(energy, "y", x=x, solver=Beam(width=V**T))
    y, energies = listed(energy, x)
    assert (found.value == y[energies.argmin(0)]).all()
    assert found.converged.all()
    torch.testing.assert_close(found.energy, energies.amin(0))


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_the_best_few_come_in_order_by_length_too(energy, x, weight):
    found = infer(energy, "y", x=x, solver=Beam(width=V**T, best=6, length_weight=weight))
    y, energies = listed(energy, x)
    scores = energies / ((5 + (y >= 0).sum(1, keepdim=True)) / 6) ** weight
    wanted = scores.topk(6, 0, largest=False).indices
    assert (found.value == y[wanted]).all()
    torch.testing.assert_close(found.energy, energies.gather(0, wanted))


def test_a_beam_of_one_takes_the_lowest_symbol_each_time_until_that_is_the_end(energy, x):
    found = infer(energy, "y", x=x, solver=Beam(width=1)).value
    steps = energy.given(x=x)
    symbol, over = torch.full((N, 1), V), torch.zeros(N, dtype=torch.bool)
    for t in range(T):
        symbol = steps.extend(symbol, ())[0][:, 0].argmin(1, keepdim=True)
        over = over | (symbol[:, 0] == V)
        assert (found[:, t] == torch.where(over, -1, symbol[:, 0])).all()
    assert over.any() and not over.all()


def test_wider_beams_never_find_higher_energy(energy, x):
    energies = [infer(energy, "y", x=x, solver=Beam(width=width)).energy for width in (1, 3, 9, 81)]
    assert all((wide <= narrow + 1e-12).all() for narrow, wide in itertools.pairwise(energies))


def test_forbidden_symbols_and_a_prefix_are_kept_to(energy, x):
    found = infer(energy, "y", x=x, solver=Beam(width=V**T, forbidden=(1,), prefix=(2, 0)))
    y, energies = listed(energy, x, lambda s: 1 not in s and s[:2] == (2, 0))
    assert (found.value == y[energies.argmin(0)]).all()


def test_an_ensemble_is_searched_as_one(energy, x):
    other = Autoregressive(Bigram(V), Sequence(V, T), Real(V + 1)).double()
    torch.nn.init.normal_(other.network.table, std=2.0, generator=torch.Generator().manual_seed(5))
    both = energy + 0.7 * other
    found = infer(both, "y", x=x, solver=Beam(width=V**T))
    y, energies = listed(both, x)
    assert (found.value == y[energies.argmin(0)]).all()


@pytest.mark.parametrize("steps", [1, 2, T + 1])
def test_the_energy_that_a_search_counted_is_that_of_what_it_found(energy, x, steps):
    for width in (1, 3):
        found = infer(energy, "y", x=x, solver=Beam(width, length_weight=0.6), options={"steps": steps})
        torch.testing.assert_close(found.energy, energy.given(x=x).value(found.value))


def test_rows_never_influence_each_other(energy, x):
    many = infer(energy, "y", x=x, solver=Beam(width=3)).value
    alone = torch.cat([infer(energy, "y", x=row[None], solver=Beam(width=3)).value for row in x])
    assert (many == alone).all()


def test_draws_have_the_chances_of_the_sequences(energy, x):
    draws = 4000
    found = infer(
        energy, "y", x=x[:1], solver=Ancestral(draws), options={"generator": torch.Generator().manual_seed(0)}
    )
    y, energies = listed(energy, x[:1].expand(N, -1))
    whole = energies[:, 0]  # sequences that would be longer are cut at T, where the end costs more
    cut = (y >= 0).all(1)
    ends = energy.given(x=x[:1]).extend(y[:, -1:].clamp_min(0).T, ())[0][0, :, V]
    chance = torch.where(cut, whole - ends, whole).neg().exp()
    torch.testing.assert_close(chance.sum(), torch.ones((), dtype=torch.float64))
    times = (found.value[:, 0, None] == y).all(-1).sum(0)
    error = (times - draws * chance) / (draws * chance * (1 - chance)).clamp_min(1.0).sqrt()
    assert error.abs().max() < 4.5
    assert not found.converged.any()


def test_few_symbols_and_a_share_of_them_bound_what_is_drawn(energy, x):
    generator = torch.Generator().manual_seed(0)
    first = energy.given(x=x).extend(torch.full((N, 1), V), ())[0][:, 0]
    for solver, allowed in (
        (Ancestral(200, top_k=1), first <= first.amin(1, keepdim=True)),
        (Ancestral(200, top_p=1e-6), first <= first.amin(1, keepdim=True)),
        (Ancestral(200, beta=50.0), first <= first.amin(1, keepdim=True) + 0.5),
    ):
        drawn = infer(energy, "y", x=x, solver=solver, options={"generator": generator}).value[..., 0]
        drawn = torch.where(drawn < 0, V, drawn)
        assert allowed.gather(1, drawn.T).all()


def test_a_share_keeps_the_most_probable_that_make_it_up():
    energy = Autoregressive(Bigram(3), Sequence(3, 1)).double()
    with torch.no_grad():
        energy.network.table[3] = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    start = torch.full((1000, 1, 1), -1)
    found = infer(
        energy,
        "y",
        init=start,
        solver=Ancestral(1000, top_p=0.7),
        options={"generator": torch.Generator().manual_seed(0)},
    )
    counts = found.value.flatten().bincount(minlength=3)
    assert counts[2] == 0 and abs(int(counts[0]) - 625) < 60  # 0.5 and 0.3 of 0.8


def test_without_x_a_start_says_how_many():
    energy = Autoregressive(Bigram(3), Sequence(3, 4))
    assert infer(energy, "y", solver=Beam(2)).value.shape == (1, 4)
    start = torch.full((7, 4), -1)
    drawn = infer(energy, "y", init=start, solver=Ancestral(), options={"generator": torch.Generator().manual_seed(0)})
    assert drawn.value.shape == (7, 4)
    torch.testing.assert_close(FreeEnergy()(energy(y=drawn.value)), FreeEnergy()(drawn.energy))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"width": 2, "best": 3}, "best ≤ width"),
        ({"length_weight": -1.0}, "weights ≥ 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(SpaceError, match=said):
        Beam(**settings)


def test_symbols_that_there_are_none_of_are_refused(energy, x):
    for solver in (Beam(forbidden=(3,)), Beam(prefix=(0, 0, 0, 0, 0)), Beam(prefix=(1,), forbidden=(1,))):
        with pytest.raises(SpaceError, match="none of them forbidden"):
            infer(energy, "y", x=x, solver=solver)
    with pytest.raises(SpaceError, match="top_p"):
        Ancestral(top_p=0.0)
    with pytest.raises(SpaceError, match="all 3 symbols are forbidden, which leaves nothing to write"):
        infer(energy, "y", x=x, solver=Beam(forbidden=(2, 0, 1)))


def test_coverage_needs_attention(energy, x):
    with pytest.raises(StructureError, match="attention"):
        infer(energy, "y", x=x, solver=Beam(coverage_weight=0.2))
