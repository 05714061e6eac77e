"""The machine of three layers beside the sums over every state that it stands for, and its mean field."""

import pytest
import torch

from lowland import infer
from lowland.energy import (
    DeepBoltzmann,
    EliminatedBits,
    FactorizedBits,
    FreeEnergy,
    HiddenLayers,
    IndependentBits,
    KBest,
    Min,
    NetworkTable,
)
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.inference import Gibbs, MeanField, annealed_importance_sampling, log_partition, solve
from lowland.spaces import Binary, Real


@pytest.fixture
def deep() -> DeepBoltzmann:
    """Four pixels in a square, three and two hidden bits, away from where it starts, in double precision."""
    deep = DeepBoltzmann(Binary(2, 2), 3, 2).double()
    with torch.no_grad():
        for part in (*deep.parameters(), *deep.buffers()):
            part.copy_(torch.randn_like(part))
    return deep


def every(count: int) -> torch.Tensor:
    return Binary(count).enumerate().double()


def pixels(deep: DeepBoltzmann) -> torch.Tensor:
    return deep.spaces["x"].enumerate().double()


def joint(deep: DeepBoltzmann, x: torch.Tensor) -> torch.Tensor:
    """E(x, h1, h2) of all states of the hidden layers, ``(N, 8, 4)``."""
    return deep(x=x[:, None, None], h1=every(3)[:, None], h2=every(2))


def test_it_is_two_bilinear_energies_that_share_a_layer(deep):
    for origin in deep.buffers():
        origin.zero_()
    x, h1, h2 = pixels(deep)[:6], every(3)[:6], every(2)[[0, 1, 2, 3, 0, 1]]
    (W, V), (b, d), c = deep.machine.W.split([4, 2]), deep.machine.b.split([4, 2]), deep.machine.c
    flat = x.flatten(1)
    wanted = -flat @ b - h1 @ c - h2 @ d - ((flat @ W) * h1).sum(1) - ((h2 @ V) * h1).sum(1)
    torch.testing.assert_close(deep(x=x, h1=h1, h2=h2), wanted)


def test_origins_change_no_distribution_that_biases_could_not(deep):
    before = joint(deep, pixels(deep))
    machine = deep.machine
    with torch.no_grad():
        b, c = machine.b - machine.W @ machine.z_origin, machine.c - machine.x_origin @ machine.W
        machine.b.copy_(b)
        machine.c.copy_(c)
        machine.x_origin.zero_()
        machine.z_origin.zero_()
    moved = joint(deep, pixels(deep)) - before
    torch.testing.assert_close(moved, moved[0, 0, 0].expand_as(moved))


@pytest.mark.parametrize("name", ["x", "h1", "h2"])
@pytest.mark.parametrize("beta", [1.0, 2.5])
def test_any_layer_is_summed_out_as_its_table_would_be(deep, name, beta):
    values = {"x": pixels(deep)[3:6], "h1": every(3)[2:5], "h2": every(2)[1:4]}
    del values[name]
    table = deep.table(name, **values)
    torch.testing.assert_close(deep.marginalize(name, beta)(**values), FreeEnergy(beta)(table))
    torch.testing.assert_close(deep.minimize(name)(**values), table.amin(-1))
    bits = deep.given(**values)
    assert isinstance(bits, IndependentBits) and bits.space == deep.spaces[name]
    torch.testing.assert_close(bits.table(name), table)


def test_given_the_pixels_two_layers_are_left_and_either_is_summed_out(deep):
    x = pixels(deep)[2:7]
    left = deep.given(x=x)
    assert isinstance(left, HiddenLayers)
    table = joint(deep, x)
    torch.testing.assert_close(left(h1=every(3)[:, None, None], h2=every(2)[:, None]), table.movedim(0, -1))
    torch.testing.assert_close(left.marginalize("h1")(h2=every(2)[:, None]), FreeEnergy(1.0)(table.mT).T)
    torch.testing.assert_close(left.minimize("h2")(h1=every(3)[:, None]), table.amin(-1).T)
    rows = torch.tensor([4, 1])
    torch.testing.assert_close(left.select(rows)(h1=every(3)[:2], h2=every(2)[:2]), table[rows, [0, 1], [0, 1]])


def test_chains_and_log_z_are_those_of_the_ends(deep):
    """The machine of the two ends has the sum of the whole, and its Gibbs chains draw x and h2 as often as they should be."""
    ends = deep.machine.marginalize("z")
    total = torch.logsumexp(-joint(deep, pixels(deep)).flatten(), 0)
    torch.testing.assert_close(log_partition(ends), total)
    wanted = (-joint(deep, pixels(deep))).flatten().softmax(0).reshape(16, 8, 4).sum(1).detach()
    start = torch.zeros(20_000, 6).double()
    found = solve(Gibbs(), ends, start, steps=60, generator=torch.Generator().manual_seed(0)).value
    place = (found @ torch.tensor([8.0, 4, 2, 1, 32, 16]).double()).long()
    order = torch.bincount(place, minlength=64).reshape(4, 16).T / len(found)
    index = (pixels(deep).flatten(1) @ torch.tensor([8.0, 4, 2, 1]).double()).long()
    upper = (every(2) @ torch.tensor([2.0, 1]).double()).long()
    assert (order[index][:, upper] - wanted).abs().max() < 0.015
    base = IndependentBits(torch.zeros(6).double(), name="x")
    estimate = annealed_importance_sampling(
        ends, base, chains=500, steps=400, generator=torch.Generator().manual_seed(0)
    )
    assert estimate.value == pytest.approx(total.item(), abs=0.2)


def test_the_mean_field_is_a_bound_that_goes_down(deep):
    x = pixels(deep)
    wanted = FreeEnergy(1.0)(joint(deep, x).flatten(1))
    relaxed = MeanField().relax(deep.marginalize("h1").given(x=x), FreeEnergy(1.0))
    found = solve(MeanField(), relaxed, steps=40, tol=1e-9, record=1)
    bounds = torch.stack([relaxed(mean_field=value) for value in found.info["trajectory"]])
    assert (bounds.diff(dim=0) <= 1e-10).all()
    assert (found.energy >= wanted - 1e-10).all() and (found.energy - wanted).mean() < 0.5
    whole = deep.marginalize("h1").marginalize("h2", solver=MeanField(), steps=40, tol=1e-9)
    torch.testing.assert_close(whole(x=x), found.energy)
    torch.testing.assert_close(whole.answer(x=x), found.value.sigmoid())


def test_its_fixed_point_is_the_pair_of_equations_of_the_paper(deep):
    for origin in deep.buffers():
        origin.zero_()
    x = pixels(deep)
    (W, V), d, c = deep.machine.W.split([4, 2]), deep.machine.b[4:], deep.machine.c
    h1, h2 = torch.full((16, 3), 0.5).double(), torch.full((16, 2), 0.5).double()
    for _ in range(400):
        h1 = (x.flatten(1) @ W + h2 @ V + c).sigmoid()
        h2 = (h1 @ V.T + d).sigmoid()
    found = deep.marginalize("h1").marginalize("h2", solver=MeanField(), steps=400, tol=1e-12).answer(x=x)
    torch.testing.assert_close(found, h2, atol=1e-6, rtol=0)


def test_without_the_upper_weights_the_mean_field_is_exact(deep):
    with torch.no_grad():
        deep.machine.W[4:] = 0
    x = pixels(deep)
    for found, reduction in (
        (deep.marginalize("h1").marginalize("h2", solver=MeanField(), steps=5), FreeEnergy(1.0)),
        (deep.minimize("h1").minimize("h2", solver=MeanField(), steps=5), Min()),
    ):
        torch.testing.assert_close(found(x=x), reduction(joint(deep, x).flatten(1)))


def test_the_slope_of_the_bound_is_the_mean_of_the_slope(deep):
    """∂F/∂θ = ⟨∂E/∂θ⟩_q, which the positive phase of learning takes: also that of the two ends at the means of h2."""
    x = pixels(deep)
    bound = deep.marginalize("h1").marginalize("h2", solver=MeanField(), steps=300, tol=1e-12)
    q2 = bound.answer(x=x).detach()
    q1 = deep.field("h1", x=x, h2=q2)[0].sigmoid().detach()
    parameters = list(deep.parameters())
    got = torch.autograd.grad(bound(x=x).sum(), parameters)
    ends = deep.machine.marginalize("z")
    for energies in (deep(x=x, h1=q1, h2=q2), ends(x=deep.ends(x, q2))):
        for mine, theirs in zip(got, torch.autograd.grad(energies.sum(), parameters), strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-8, rtol=0)


def test_the_most_likely_hidden_bits_are_inferred(deep):
    x = pixels(deep)
    found = infer(deep.minimize("h1"), "h2", x=x, solver=MeanField())
    assert found.converged.all() and set(found.value.unique().tolist()) <= {0.0, 1.0}
    h1 = deep.minimize("h1").answer(x=x, h2=found.value)
    torch.testing.assert_close(deep(x=x, h1=h1, h2=found.value), found.energy)
    flipped = torch.stack([(found.value - torch.eye(2).double()[i]).abs() for i in range(2)])
    assert (deep(x=x, h1=h1, h2=flipped) >= found.energy - 1e-10).all()


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda: DeepBoltzmann(Real(4), 3, 2), SpaceError, "wanted a visible layer of bits"),
        (lambda: DeepBoltzmann(Binary(4), 3, 0), SpaceError, "at least one bit"),
        (lambda: DeepBoltzmann.example().field("h1", x=torch.ones(2)), VariableError, "missing: h2"),
        (lambda: HiddenLayers.example().field("h1", h1=torch.ones(3)), VariableError, "missing: h2"),
        (lambda: FactorizedBits(EliminatedBits.example(), KBest(2)), StructureError, "Min or FreeEnergy"),
        (lambda: infer(NetworkTable.example(), "y", x=torch.ones(5), solver=MeanField()), StructureError, "layer of bits"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()
