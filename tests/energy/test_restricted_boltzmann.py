"""Boltzmann machines beside the sums over every state that they stand for."""

import pytest
import torch

from lowland import Partial, infer
from lowland.energy import (
    Bilinear,
    EliminatedBits,
    Energy,
    FreeEnergy,
    GaussianBernoulli,
    IndependentBits,
    KBest,
    RestrictedBoltzmann,
)
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.inference import Gibbs, solve
from lowland.spaces import Binary, Real


@pytest.fixture
def machine() -> RestrictedBoltzmann:
    """Four pixels in a square and three hidden bits, away from where it starts, in double precision."""
    machine = RestrictedBoltzmann(Binary(2, 2), 3).double()
    with torch.no_grad():
        for part in (*machine.parameters(), machine.x_origin, machine.z_origin):
            part.copy_(torch.randn_like(part))
    return machine


def every(count: int) -> torch.Tensor:
    return Binary(count).enumerate().double()


def test_without_origins_it_is_the_usual_bilinear_energy(machine):
    machine.x_origin.zero_()
    machine.z_origin.zero_()
    x, z = torch.bernoulli(torch.full((6, 2, 2), 0.5)).double(), torch.bernoulli(torch.full((6, 3), 0.5)).double()
    wanted = -(x.flatten(1) @ machine.b) - z @ machine.c - ((x.flatten(1) @ machine.W) * z).sum(1)
    torch.testing.assert_close(machine(x=x, z=z), wanted)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", ["x", "z"])
def test_a_layer_is_summed_out_as_its_table_would_be(machine, name, beta):
    other = {"x": "z", "z": "x"}[name]
    value = machine.spaces[other].enumerate().double()
    table = machine.table(name, **{other: value})
    torch.testing.assert_close(machine.marginalize(name, beta)(**{other: value}), FreeEnergy(beta)(table))
    torch.testing.assert_close(machine.minimize(name)(**{other: value}), table.amin(-1))
    states = machine.spaces[name].enumerate().double().flatten(1)
    posterior = (-beta * table).softmax(-1) @ states
    torch.testing.assert_close(machine.marginalize(name, beta).answer(**{other: value}).flatten(1), posterior)
    torch.testing.assert_close(machine.minimize(name).answer(**{other: value}).flatten(1), states[table.argmin(-1)])
    if beta == 1:
        torch.testing.assert_close(machine.mean(name, **{other: value}).flatten(1), posterior)


def test_the_gradient_of_the_free_energy_is_that_of_the_sum_over_states(machine):
    x = machine.spaces["x"].enumerate().double()
    summed = -torch.logsumexp(-machine.table("z", x=x), -1)
    for mine, theirs in zip(
        torch.autograd.grad(machine.marginalize("z")(x=x).sum(), list(machine.parameters())),
        torch.autograd.grad(summed.sum(), list(machine.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


def test_the_gradient_has_a_gradient_and_reaches_the_pixels(machine):
    x = torch.rand(6, 2, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, machine.W, machine.b, machine.c)
    free = machine.marginalize("z", 1.5)(x=x)
    summed = FreeEnergy(1.5)(machine.table("z", x=x))
    found = []
    for energies in (free, summed):
        weight = torch.linspace(0.5, 1.5, 6).double()
        slopes = torch.autograd.grad((weight * energies).sum(), inputs, create_graph=True)
        found.append((*slopes, *torch.autograd.grad(sum(slope.square().sum() for slope in slopes), inputs)))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_half_precision_draws_bits_and_sums_energies_in_full():
    machine = RestrictedBoltzmann(Binary(300), 200)
    with torch.no_grad():
        machine.W.normal_(0, 0.1)
    energy, x = machine.marginalize("z"), torch.bernoulli(torch.full((5, 300), 0.5))
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            drawn = Gibbs().step(energy, Gibbs().init(energy, x))[0].s
        halved = energy(x=drawn)
    assert set(drawn.unique().tolist()) == {0.0, 1.0} and halved.dtype == torch.float32
    full = energy(x=drawn.float())
    torch.testing.assert_close(halved, full)
    got, wanted = (torch.autograd.grad(energies.sum(), machine.W)[0] for energies in (halved, full))
    torch.testing.assert_close(got, wanted)


def test_starting_at_the_data_makes_each_pixel_as_often_on(machine):
    x = torch.bernoulli(torch.rand(2, 2).expand(5000, 2, 2)).double()
    machine.start(x)
    with torch.no_grad():
        machine.W.zero_()
        machine.c.zero_()
    torch.testing.assert_close(machine.mean("x", z=torch.ones(3).double()), x.mean(0), atol=1e-3, rtol=0)


def test_moving_the_origins_with_the_biases_changes_no_distribution(machine):
    x = machine.spaces["x"].enumerate().double()
    before = (-machine.marginalize("z")(x=x)).softmax(0)
    with torch.no_grad():
        b = machine.b - machine.W @ machine.z_origin
        c = machine.c - machine.x_origin @ machine.W
        machine.b.copy_(b)
        machine.c.copy_(c)
        machine.x_origin.zero_()
        machine.z_origin.zero_()
    torch.testing.assert_close((-machine.marginalize("z")(x=x)).softmax(0), before)


def test_block_gibbs_draws_from_the_marginal(machine):
    energy = machine.marginalize("z")
    x = machine.spaces["x"].enumerate().double()
    wanted = (-energy(x=x)).softmax(0).detach()
    start = torch.zeros(20_000, 2, 2, dtype=torch.float64)
    found = solve(Gibbs(), energy, start, steps=40, generator=torch.Generator().manual_seed(0)).value
    place = found.flatten(1) @ torch.tensor([1.0, 2, 4, 8]).double()
    share = torch.bincount(place.long(), minlength=16) / len(found)
    assert (share - wanted).abs().max() < 4 * (0.25 / len(found)) ** 0.5


def test_a_step_reports_the_energy_where_it_began_and_repeats(machine):
    energy, x = machine.marginalize("z"), torch.bernoulli(torch.full((7, 2, 2), 0.5)).double()
    runs = [Gibbs().step(energy, Gibbs().init(energy, x, torch.Generator().manual_seed(3))) for _ in range(2)]
    torch.testing.assert_close(runs[0][1].energy, energy(x=x))
    assert (runs[0][0].s == runs[1][0].s).all()


def test_known_pixels_stay_and_the_others_are_drawn_given_them(machine):
    known = torch.tensor([[True, False], [False, True]])
    x = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double()
    energy = machine.marginalize("z")
    many = Partial(x.expand(20_000, 2, 2), known)
    found = infer(
        energy, "x", x=many, solver=Gibbs(), options={"steps": 40, "generator": torch.Generator().manual_seed(0)}
    )
    assert (found.value[:, known] == x[known]).all()
    states = machine.spaces["x"].enumerate().double()
    fits = (states[:, known] == x[known]).all(1)
    wanted = (-energy(x=states[fits])).softmax(0) @ states[fits][:, ~known]
    torch.testing.assert_close(found.value[:, ~known].mean(0), wanted.detach(), atol=0.02, rtol=0)


def test_given_a_layer_the_other_is_independent_bits(machine):
    x = torch.bernoulli(torch.full((6, 2, 2), 0.5)).double()
    bits = machine.given(x=x)
    assert isinstance(bits, IndependentBits)
    torch.testing.assert_close(bits.table("z"), machine.table("z", x=x))
    torch.testing.assert_close(bits.marginalize("z")(), machine.marginalize("z")(x=x))
    torch.testing.assert_close(bits.value(bits.guess("z")), machine.minimize("z")(x=x))
    torch.testing.assert_close(-bits.log_partition(), machine.marginalize("z")(x=x))
    rows = torch.tensor([4, 1])
    torch.testing.assert_close(bits.select(rows).table("z"), machine.table("z", x=x[rows]))


def test_the_likeliest_independent_bits_are_as_often_on_as_the_data():
    x = torch.bernoulli(torch.rand(3, 4).expand(20_000, 3, 4))
    base = IndependentBits.of(x)
    drawn = base.draw(20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 3, 4)
    torch.testing.assert_close(drawn.mean(0), x.mean(0), atol=0.02, rtol=0)


def test_real_pixels_are_gaussian_given_the_hidden_layer():
    machine = GaussianBernoulli.example().double()
    machine.z_origin.fill_(0.3)
    x, z = torch.randn(6, 3).double(), torch.bernoulli(torch.full((6, 2), 0.5)).double()
    states = every(2)
    table = torch.stack([machine(x=x, z=state.expand(6, 2)) for state in states], -1)
    torch.testing.assert_close(machine.marginalize("z")(x=x), -torch.logsumexp(-table, -1))
    # the integral over x, by the density of x given z and the energy at any x
    normal = torch.distributions.Normal(machine.mean("x", z=z), machine.spread)
    torch.testing.assert_close(machine.marginalize("x")(z=z), machine(x=x, z=z) + normal.log_prob(x).sum(-1))


def test_block_gibbs_of_real_pixels_has_the_moments_of_the_mixture():
    machine = GaussianBernoulli.example().double()
    states = every(2)
    share = (-machine.marginalize("x")(z=states)).softmax(0).detach()
    wanted = share @ machine.mean("x", z=states)
    start = torch.zeros(20_000, 3).double()
    found = solve(Gibbs(), machine.marginalize("z"), start, steps=40, generator=torch.Generator().manual_seed(0)).value
    torch.testing.assert_close(found.mean(0), wanted.detach(), atol=0.03, rtol=0)
    spread = share @ (machine.mean("x", z=states) - wanted).square() + machine.spread**2
    torch.testing.assert_close(found.var(0), spread.detach(), atol=0.05, rtol=0)


def test_data_that_are_not_bits_are_refused_by_name(machine):
    with pytest.raises(SpaceError, match=r"x: wanted zeros and ones .* got 0\.5"):
        infer(machine, "z", x=torch.full((3, 2, 2), 0.5).double())
    with pytest.raises(SpaceError, match=r"wanted a visible layer of bits .* GaussianBernoulli"):
        RestrictedBoltzmann(Real(4), 3)
    with pytest.raises(SpaceError, match=r"wanted a visible layer of unbounded numbers .* RestrictedBoltzmann"):
        GaussianBernoulli(Binary(4), 3)


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: RestrictedBoltzmann(Binary(4), 0), SpaceError, "at least 1 hidden"),
        (lambda: GaussianBernoulli(Real(4), 2, spread=0.0), SpaceError, "spread > 0"),
        (lambda: RestrictedBoltzmann.example().field("z", y=torch.ones(3)), VariableError, "unknown: y"),
        (lambda: GaussianBernoulli.example().mean("x", x=torch.ones(3)), VariableError, "missing"),
        (lambda: EliminatedBits(RestrictedBoltzmann.example(), "z", KBest(2)), StructureError, "Min"),
        (lambda: IndependentBits(torch.ones(3), torch.ones(2)), SpaceError, "constant"),
        (
            lambda: solve(Gibbs(beta=2.0), GaussianBernoulli.example().marginalize("z"), torch.zeros(1, 3)),
            StructureError,
            "another beta",
        ),
    ],
)
def test_mistakes_are_sentences(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()


def test_at_another_temperature_bits_are_redrawn_one_by_one(machine):
    energy: Energy = machine.marginalize("z")
    assert energy.redraw(torch.zeros(1, 2, 2).double(), beta=2.0) is None  # type: ignore[attr-defined]
    x = machine.spaces["x"].enumerate().double()
    wanted = (-2.0 * energy(x=x)).softmax(0).detach() @ x.flatten(1)
    start = torch.zeros(10_000, 2, 2).double()
    found = solve(Gibbs(beta=2.0), energy, start, steps=20, generator=torch.Generator().manual_seed(0)).value
    torch.testing.assert_close(found.flatten(1).mean(0), wanted, atol=0.03, rtol=0)


def test_bits_too_many_to_list_are_drawn_and_not_minimised_by_a_sampler():
    big, x = RestrictedBoltzmann(Binary(3), 30), torch.ones(2, 3)
    with torch.no_grad():
        big.c.copy_(torch.tensor([50.0, -50.0]).repeat(15))  # so sure that a draw is the lowest, too
    drawn = infer(big, "z", x=x, options={"steps": 3, "generator": torch.Generator().manual_seed(0)})
    assert drawn.value.tolist() == [[1.0, 0.0] * 15] * 2
    with pytest.raises(StructureError, match="Gibbs would draw samples"):
        Bilinear(Binary(3), Binary(30)).minimize("h")(v=x)
