"""Chains: every recursion against a list of all paths, and what must not matter."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowland import infer, posterior
from lowland.energy import Chain, Entropy, FreeEnergy, KBest, Min, Sample, Trellis
from lowland.errors import SpaceError
from lowland.objectives import Hinge, MarginRescaling, NegativeLogLikelihood, Perceptron
from lowland.spaces import Real

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def listed(trellis: Trellis) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each sample every path ``(n, T)`` and its energy ``(n,)``, added up one by one."""
    unary, transition = trellis.potentials, trellis.transition
    found = []
    for n, (rows, initial) in enumerate(zip(unary, trellis.initial.expand(len(unary), -1), strict=True)):
        positions, states = rows.shape
        length = positions if trellis.lengths is None else int(trellis.lengths[n])
        paths = torch.tensor(list(itertools.product(range(states), repeat=length))).reshape(states**length, length)
        energies = rows.new_zeros(len(paths))
        for t in range(length):
            energies = energies + rows[t, paths[:, t]]
            if t:
                step = transition if transition.ndim == 2 else transition[n, t - 1]
                energies = energies + step[paths[:, t - 1], paths[:, t]]
            else:
                energies = energies + initial[paths[:, 0]]
        paths = torch.nn.functional.pad(paths, (0, positions - length), value=-1)
        if trellis.other_than is not None:
            other = (paths != trellis.other_than[n]).any(1)
            paths, energies = paths[other], energies[other]
        found.append((paths, energies))
    return found


def drawn(each: bool, forbidden: float, padded: bool, scale: float, seed: int, states: int = 3) -> Trellis:
    """A random trellis of five positions in double precision."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        values = scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        return values.masked_fill(torch.rand(shape, generator=generator) < forbidden, torch.inf)

    transition = random(4, 4, states, states) if each else random(states, states)
    initial = random(4, states) if each else random(states)
    lengths = torch.tensor([5, 1, 3, 0]) if padded else None
    return Trellis(random(4, 5, states), initial, transition, lengths)


trellises = st.builds(
    drawn,
    each=st.booleans(),
    forbidden=st.sampled_from([0.0, 0.2]),
    padded=st.booleans(),
    scale=st.sampled_from([0.0, 1.0, 300.0]),
    seed=st.integers(0, 10**6),
)
betas = st.sampled_from([0.5, 1.0, 3.0])


@given(trellises, betas, st.integers(0, 3))
def test_free_energy_minimum_and_entropy_are_those_of_the_list(trellis, beta, checkpoint):
    trellis = Trellis(**{**vars(trellis), "checkpoint": checkpoint})
    paths = listed(trellis)
    for reduction in (Min(), FreeEnergy(beta), Entropy(beta)):
        expected = torch.stack([reduction(energies) for _, energies in paths])
        size = (
            expected[expected.isfinite()].abs().max() if reduction != Entropy(beta) else 1e4
        )  # a difference of energies
        torch.testing.assert_close(trellis.reduce(reduction), expected, rtol=0, atol=1e-12 * float(1 + size))


@given(trellises, st.integers(1, 6))
def test_the_best_are_those_of_the_list(trellis, k):
    paths = listed(trellis)
    values, energies = trellis.read(KBest(k))
    for n, (each, right) in enumerate(paths):
        torch.testing.assert_close(energies[n], KBest(k)(right), **CLOSE)
        for path, energy in zip(values[n], energies[n], strict=True):
            if energy.isfinite():
                torch.testing.assert_close(energy, right[(each == path).all(1)].squeeze(0), **CLOSE)
        finite = values[n][energies[n].isfinite()]
        assert len(finite.unique(dim=0)) == len(finite)


@given(trellises)
def test_the_lowest_path_has_the_lowest_energy(trellis):
    path, energies = trellis.read(Min())
    for n, (each, right) in enumerate(listed(trellis)):
        if right.min().isinf():
            assert energies[n].isinf() and (path[n] == -1).all()
        else:
            torch.testing.assert_close(right[(each == path[n]).all(1)].squeeze(0), right.min(), **CLOSE)
    torch.testing.assert_close(trellis.along(path), energies, **CLOSE)


@given(trellises, betas, st.integers(0, 3))
def test_marginals_are_those_of_the_list(trellis, beta, checkpoint):
    unary = trellis.potentials.clone().requires_grad_()
    initial = trellis.initial.clone().requires_grad_()
    transition = trellis.transition.clone().requires_grad_()
    free = Trellis(unary, initial, transition, trellis.lengths, checkpoint=checkpoint).reduce(FreeEnergy(beta))
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    slopes = torch.autograd.grad(
        free @ torch.where(free.isfinite(), weight, 0.0).nan_to_num(), (unary, initial, transition)
    )
    wanted = [torch.zeros_like(slope) for slope in slopes]
    for n, (paths, energies) in enumerate(listed(trellis)):
        chances = FreeEnergy(beta).answer(energies) if energies.min().isfinite() else torch.zeros_like(energies)
        for path, chance in zip(paths, weight[n] * chances, strict=True):
            states = path[path >= 0].tolist()
            for t, state in enumerate(states):
                wanted[0][n, t, state] += chance
                if t:
                    into = wanted[2] if transition.ndim == 2 else wanted[2][n, t - 1]
                    into[states[t - 1], state] += chance
                else:
                    (wanted[1] if initial.ndim == 1 else wanted[1][n])[state] += chance
    for slope, right in zip(slopes, wanted, strict=True):
        torch.testing.assert_close(slope, right, **CLOSE)


@given(trellises, betas, st.sampled_from([Min, FreeEnergy]), st.integers(0, 10**6))
def test_all_but_one_is_all_but_one(trellis, beta, kind, seed):
    length = torch.full((4,), 5) if trellis.lengths is None else trellis.lengths
    other = torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(seed))
    other = other.masked_fill(torch.arange(5) >= length[:, None], -1)
    left = trellis.without(other)
    reduction = kind() if kind is Min else kind(beta)
    some = length > 0  # of no position there is one path alone
    expected = [reduction(energies) for (_, energies), has in zip(listed(left), some, strict=True) if has]
    torch.testing.assert_close(left.reduce(reduction)[some], torch.stack(expected), **CLOSE)
    assert left.reduce(reduction)[~some].isposinf().all()


def test_gradients_agree_with_finite_differences():
    for each in (False, True):
        trellis = drawn(each, 0.0, True, 1.0, 7)
        inputs = [trellis.potentials, trellis.initial, trellis.transition]
        for tensor in inputs:
            tensor.requires_grad_()
        for reduction in (Min(), FreeEnergy(1.5), Entropy(1.5), KBest(2)):

            def reduced(unary, initial, transition, reduction=reduction, lengths=trellis.lengths):
                found = Trellis(unary, initial, transition, lengths).reduce(reduction)
                return found.masked_fill(found.isinf(), 0.0)

            assert torch.autograd.gradcheck(reduced, inputs)


def test_free_energy_tends_to_the_minimum():
    trellis = drawn(False, 0.0, True, 1.0, 3)
    low = trellis.reduce(Min())
    gaps = [(low - trellis.reduce(FreeEnergy(beta))).abs().max() for beta in (1.0, 10.0, 100.0, 1e5)]
    assert all(one >= other for one, other in itertools.pairwise(gaps)) and gaps[-1] < 1e-4


@pytest.mark.parametrize("forbidden", [0.0, 0.3])
def test_draws_have_the_probabilities_of_paths(forbidden, seed):
    trellis = drawn(False, forbidden, False, 1.0, 5)
    rows = torch.zeros(4000, dtype=torch.int64)
    generator = torch.Generator().manual_seed(seed)
    for many in (trellis.select(rows), trellis.select(rows[:400])):
        if len(many.potentials) == 400:  # the recursion in the log domain
            unary = many.potentials.clone().requires_grad_()
            free = many.replaced(unary).reduce_by_logarithms(Sample(2.0, generator))
            path = many.value(torch.autograd.grad(free.sum(), unary)[0])
        else:
            path, energies = many.read(Sample(2.0, generator))
            torch.testing.assert_close(many.along(path), energies)
        paths, energies = listed(trellis.select(rows[:1]))[0]
        chance = FreeEnergy(2.0).answer(energies)
        order = chance.argsort(descending=True)[:12]
        seen = (path[:, None] == paths[order]).all(-1).double().sum(0)
        expected = len(path) * chance[order]
        counts = torch.cat([seen, len(path) - seen.sum()[None]])
        expected = torch.cat([expected, len(path) - expected.sum()[None]])
        there = expected > 1e-9
        assert ((counts - expected)[there].square() / expected[there]).sum() < 40  # χ² with 12 degrees: p < 1e-4
        assert (counts[~there] == 0).all()


def test_a_draw_has_the_value_of_the_free_energy_and_its_own_gradient(seed):
    trellis = drawn(False, 0.2, True, 1.0, 11)
    unary = trellis.potentials.clone().requires_grad_()
    reduced = trellis.replaced(unary).reduce(Sample(1.0))
    torch.testing.assert_close(reduced, trellis.reduce(FreeEnergy(1.0)), **CLOSE)
    (share,) = torch.autograd.grad(reduced[reduced.isfinite()].sum(), unary)
    assert set(share.unique().tolist()) <= {0.0, 1.0}


@given(st.integers(0, 10**6))
def test_padding_and_the_order_of_the_batch_change_nothing(seed):
    trellis = drawn(False, 0.0, True, 1.0, seed)
    longer = torch.nn.functional.pad(trellis.potentials, (0, 0, 0, 3), value=7.0)
    order = torch.tensor([2, 0, 3, 1])
    for reduction in (Min(), FreeEnergy(), KBest(3), Entropy()):
        whole = trellis.reduce(reduction)
        padded = Trellis(longer, trellis.initial, trellis.transition, trellis.lengths).reduce(reduction)
        torch.testing.assert_close(padded, whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(trellis.select(order).reduce(reduction), whole[order], rtol=0, atol=1e-12)
    short = Trellis(trellis.potentials[2:3, :3], trellis.initial, trellis.transition)
    torch.testing.assert_close(short.reduce(FreeEnergy()), trellis.reduce(FreeEnergy())[2:3], **CLOSE)


@pytest.mark.parametrize("checkpoint", [0, 30])
def test_single_precision_carries_two_thousand_steps(checkpoint):
    generator = torch.Generator().manual_seed(0)
    unary = 4 * torch.randn(3, 2000, 6, generator=generator)
    transition = 2 * torch.randn(6, 6, generator=generator)
    results = []
    for dtype in (torch.float32, torch.float64):
        rows = unary.to(dtype).requires_grad_()
        step = transition.to(dtype).requires_grad_()
        trellis = Trellis(rows, torch.zeros(6, dtype=dtype), step, torch.tensor([2000, 1999, 3]), checkpoint=checkpoint)
        free = trellis.reduce(FreeEnergy())
        results.append(
            [free, *torch.autograd.grad(free.sum(), (rows, step)), trellis.reduce(Min()), trellis.read(Min())[0]]
        )
    for single, double in zip(*results, strict=True):
        torch.testing.assert_close(single.to(double.dtype), double, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("scale", [30.0, 200.0])
def test_what_scaling_can_not_carry_is_done_by_logarithms(scale):
    """From left to right only, while the frames say the opposite: the only way to the end has hardly any weight."""
    generator = torch.Generator().manual_seed(0)
    unary = torch.rand(4, 40, 3, generator=generator)
    unary[1:, :30, 1:] += scale
    unary[:, 30:, :2] = torch.inf
    transition = torch.tensor([[0.0, 1.0, torch.inf], [torch.inf, 0.0, 1.0], [torch.inf, torch.inf, 0.0]])
    initial = torch.tensor([0.0, torch.inf, torch.inf])
    results = []
    for dtype in (torch.float32, torch.float64):
        rows = unary.to(dtype).requires_grad_()
        trellis = Trellis(rows, initial.to(dtype), transition.to(dtype))
        by_logarithms = trellis.reduce_by_logarithms(FreeEnergy())
        results.append((by_logarithms, torch.autograd.grad(by_logarithms.sum(), rows)[0]))
        free = trellis.reduce(FreeEnergy())
        results.append((free, torch.autograd.grad(free.sum(), rows)[0]))
    for free, slope in results:
        torch.testing.assert_close(free.double(), results[0][0].double(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(slope.double(), results[0][1].double(), rtol=1e-4, atol=1e-4)


def test_no_path_is_no_energy_and_no_gradient():
    unary = torch.zeros(2, 3, 2)
    unary[0, 1] = torch.inf
    for reduction in (Min(), FreeEnergy(), Sample(), KBest(2)):
        rows = unary.clone().requires_grad_()
        reduced = Trellis(rows, torch.zeros(2), torch.zeros(2, 2)).reduce(reduction)
        (slope,) = torch.autograd.grad(reduced.sum(), rows)
        assert reduced[0].isposinf().all() and reduced[1].isfinite().all()
        assert (slope[0] == 0).all() and slope[1].sum() > 0
        path, _ = Trellis(unary, torch.zeros(2), torch.zeros(2, 2)).read(reduction)
        assert (path[0] == -1).all() and (path[1] >= 0).all()


def crf(**options) -> tuple[Chain, dict[str, torch.Tensor]]:
    """A chain over features, with random numbers, and questions about it."""
    energy = Chain(5, 3, torch.nn.Linear(4, 3), Real(5, 4), **options).double()
    with torch.no_grad():
        energy.initial.normal_()
        energy.transition.normal_()
    known = {"x": torch.randn(6, 5, 4).double(), "length": torch.tensor([5, 4, 3, 5, 1, 2])}
    if options.get("edges"):
        known["edges"] = torch.randn(6, 4, 3, 3).double()
    return energy, known


@pytest.mark.parametrize("edges", [False, True])
def test_a_chain_is_asked_like_any_energy(edges):
    energy, known = crf(edges=edges)
    found = infer(energy, "y", **known)
    torch.testing.assert_close(energy(y=found.value, **known), found.energy)
    torch.testing.assert_close(energy.minimize("y")(**known), found.energy)
    assert found.converged.all() and ((found.value >= 0).sum(1) == known["length"]).all()
    three = infer(energy, "y", reduction=KBest(3), **known)
    assert three.value.shape == (6, 3, 5)
    torch.testing.assert_close(three.energy[:, 0], found.energy)
    chances = posterior(energy, "y", **known)
    torch.testing.assert_close(chances.sum((1, 2)), known["length"].double())
    given = energy.given(x=known["x"])
    rest = {name: value for name, value in known.items() if name != "x"}
    torch.testing.assert_close(given.marginalize("y")(**rest), energy.marginalize("y")(**known))
    wrong = found.value.clone()
    wrong[1, 4] = 0
    assert energy(y=wrong, **known)[1].isposinf()


@pytest.mark.parametrize("objective", [NegativeLogLikelihood(), Perceptron(), Hinge(), MarginRescaling()])
def test_every_objective_pushes_the_right_path_down(objective):
    energy, known = crf()
    y = torch.randint(3, (6, 5)).masked_fill(torch.arange(5) >= known["length"][:, None], -1)
    rate = torch.optim.Adam(energy.parameters(), 0.05)
    losses = []
    for _ in range(60):
        rate.zero_grad()
        loss = objective(energy, {**known, "y": y}).value
        loss.backward()
        rate.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert (energy.transition.grad is not None) and energy.transition.grad.isfinite().all()


def test_the_margin_counts_mistakes():
    trellis = drawn(False, 0.0, True, 1.0, 2)
    y = torch.randint(3, (4, 5)).masked_fill(torch.arange(5) >= trellis.lengths[:, None], -1)
    for n, (paths, energies) in enumerate(listed(trellis)):
        expected = (energies - 0.7 * (paths != y[n]).sum(1).double()).min()
        torch.testing.assert_close(trellis.augmented(y, 0.7).reduce(Min())[n], expected, **CLOSE)


def test_wrong_use_is_said():
    with pytest.raises(SpaceError, match="network and the space"):
        Chain(3, 2, torch.nn.Identity())
    with pytest.raises(SpaceError, match="at least one position"):
        Chain(0, 2)
    with pytest.raises(SpaceError, match="checkpoints"):
        Chain(3, 2, checkpoint=-1)
    energy = Chain(3, 2, torch.nn.Linear(4, 5), Real(3, 4))
    with pytest.raises(SpaceError, match=r"\(1, 3, 2\), got \(1, 3, 5\)"):
        energy.minimize("y")(x=torch.zeros(1, 3, 4), length=torch.tensor([3]))


def test_energies_of_half_precision_are_summed_in_that_of_the_transitions():
    energy, known = Chain(5, 3), torch.randn(2, 5, 3)
    length = torch.tensor([5, 3])
    free = energy.marginalize("y")(x=known.bfloat16(), length=length)
    assert free.dtype == torch.float32
    torch.testing.assert_close(free, energy.marginalize("y")(x=known.bfloat16().float(), length=length))
