"""Every reduction over segmentations against a list of all of them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.energy import Acceptor, Entropy, FreeEnergy, KBest, Min, PieceEnergies, Sample
from lowland.errors import SpaceError, StructureError
from lowland.inference import infer, posterior
from lowland.objectives import Hinge, MinimumClassificationError, NegativeLogLikelihood, Perceptron

N, D, C, L = 4, 2, 3, 4
LENGTHS = torch.tensor([4, 3, 1])
GRAMMAR = "junk* (digit junk*)+"


def energy(weighted=False) -> PieceEnergies:
    acceptor = Acceptor.of(GRAMMAR, C, digit=(0, 1), junk=2)
    return PieceEnergies(acceptor, (0, 1, -1), positions=N, longest=D, max_length=L, weighted=weighted).double()


def pieces(seed: int) -> torch.Tensor:
    return torch.randn(3, N, D, C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def segmentations(end: int):
    """Lists of (end, length, label)."""
    if end == 0:
        yield []
    for length in range(1, min(D, end) + 1):
        for label in range(C):
            for before in segmentations(end - length):
                yield [*before, (end, length, label)]


def listed(x: torch.Tensor, sample: int, accepts=lambda string: True) -> list[tuple[float, list, list]]:
    """Energy, path and string of every reading of a sample, the lowest first."""
    found = []
    for path in segmentations(int(LENGTHS[sample])):
        string = [label for _, _, label in path if label < 2]
        if string and accepts(string):
            found.append(
                (sum(x[sample, end - 1, length - 1, label].item() for end, length, label in path), path, string)
            )
    return sorted(found, key=lambda reading: reading[0])


def free(energies, beta) -> float:
    return -torch.logsumexp(-beta * torch.tensor(energies, dtype=torch.float64), 0).item() / beta


def written(strings) -> torch.Tensor:
    return torch.tensor([[*string, *[-1] * (L - len(string))] for string in strings])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
def test_every_reduction_is_that_of_the_list(seed, beta):
    model, x = energy(), pieces(seed)
    y = written([[0, 1], [1], [0]])
    every = [[reading[0] for reading in listed(x, i)] for i in range(3)]
    right = [[reading[0] for reading in listed(x, i, lambda s, i=i: s == y[i][y[i] >= 0].tolist())] for i in range(3)]
    wrong = [[reading[0] for reading in listed(x, i, lambda s, i=i: s != y[i][y[i] >= 0].tolist())] for i in range(3)]
    for latent, reduction, by_hand in (
        (model.minimize("z"), Min(), lambda e: min(e)),
        (model.marginalize("z", beta), FreeEnergy(beta), lambda e: free(e, beta)),
    ):
        strings, batch = latent.structure("y", x=x, length=LENGTHS)
        others, _ = latent.structure("y", other_than=y, x=x, length=LENGTHS)
        got = [latent(x=x, length=LENGTHS, y=y), strings.reduce(reduction), others.reduce(reduction)]
        for value, energies in zip(got, (right, every, wrong), strict=True):
            by_list = torch.tensor([by_hand(e) for e in energies], dtype=torch.float64)
            torch.testing.assert_close(value, by_list, rtol=1e-10, atol=1e-10)
        assert batch == (3,)
    structure, _ = model.structure("y", "z", x=x, length=LENGTHS)
    best = torch.tensor([(e + [math.inf] * 3)[:3] for e in every], dtype=torch.float64)
    torch.testing.assert_close(structure.reduce(KBest(3)), best, rtol=1e-10, atol=1e-10)
    logits = [-beta * torch.tensor(e, dtype=torch.float64) for e in every]
    entropy = torch.stack([torch.distributions.Categorical(logits=row).entropy() for row in logits])
    torch.testing.assert_close(structure.reduce(Entropy(beta)), entropy, rtol=1e-9, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_gradient_is_the_best_path_and_the_posterior(seed):
    model, x = energy(), pieces(seed)
    structure, _ = model.structure("y", "z", x=x, length=LENGTHS)
    shares = torch.zeros_like(x)
    for i in range(3):
        readings = listed(x, i)
        weights = torch.tensor([-reading[0] for reading in readings]).softmax(0)
        for weight, (_, path, _) in zip(weights, readings, strict=True):
            for end, length, label in path:
                shares[i, end - 1, length - 1, label] += weight
    torch.testing.assert_close(structure.share(FreeEnergy(1.0))[1], shares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        posterior(model.marginalize("z"), "y", x=x, length=LENGTHS), shares, rtol=1e-5, atol=1e-6
    )
    string = infer(model.minimize("z"), "y", x=x, length=LENGTHS)
    assert string.value.tolist() == written([listed(x, i)[0][2] for i in range(3)]).tolist()
    path = infer(model.given(x=x, length=LENGTHS, y=string.value), "z")
    for i in range(3):
        marks = [-1] * N
        for end, _, label in listed(x, i)[0][1]:
            marks[end - 1] = label
        assert path.value[i].tolist() == marks
    torch.testing.assert_close(model(x=x, length=LENGTHS, y=string.value, z=path.value), string.energy)
    best = infer(model.minimize("z"), "y", x=x, length=LENGTHS, reduction=KBest(2))
    assert best.value.shape == (3, 2, L)
    assert best.value[0, 1].tolist() == written([listed(x, 0)[1][2]])[0].tolist()


@pytest.mark.parametrize("reduction", [FreeEnergy(1.3), Min(), Entropy(0.7)])
def test_slopes_agree_with_finite_differences(reduction):
    model, x = energy(weighted=True), pieces(5).requires_grad_()
    with torch.no_grad():
        model.weights += 0.3 * torch.randn(model.weights.shape, generator=torch.Generator().manual_seed(0))
    weights = model.weights.detach().clone().requires_grad_()
    model.weights = None

    def reduced(x, weights):
        model.__dict__["weights"] = weights
        return model.structure("y", "z", x=x, length=LENGTHS)[0].reduce(reduction)

    assert torch.autograd.gradcheck(reduced, (x, weights))


def test_a_cold_free_energy_is_the_minimum():
    model, x = energy(), pieces(1)
    structure, _ = model.structure("y", "z", x=x, length=LENGTHS)
    torch.testing.assert_close(structure.reduce(FreeEnergy(1e4)), structure.reduce(Min()), rtol=1e-3, atol=1e-3)


def test_drawn_paths_have_the_posterior_shares():
    draws = 4000
    x = pieces(2)[:1].expand(draws, -1, -1, -1)
    model, lengths = energy(), LENGTHS[:1].expand(draws)
    structure, _ = model.structure("y", "z", x=x, length=lengths)
    drawn = structure.share(Sample(1.0, torch.Generator().manual_seed(0)))[1]
    readings = listed(x[:1], 0)
    wanted = torch.tensor([-reading[0] for reading in readings], dtype=torch.float64).softmax(0)
    keys = {tuple(path): place for place, (_, path, _) in enumerate(readings)}
    counts = torch.zeros(len(readings), dtype=torch.float64)
    for sample in drawn:
        path = tuple((end + 1, length + 1, label) for end, length, label in sample.nonzero().tolist())
        counts[keys[path]] += 1
    likely = wanted * draws > 5
    expected = torch.cat([wanted[likely], wanted[~likely].sum()[None]]) * draws
    seen = torch.cat([counts[likely], counts[~likely].sum()[None]])
    chi_square = ((seen - expected).square() / expected).sum()
    assert chi_square < len(expected) + 5 * (2 * len(expected)) ** 0.5


def test_padding_and_order_of_the_batch_change_nothing():
    model, x, lengths = energy(), pieces(3), LENGTHS
    structure, _ = model.structure("y", "z", x=x, length=lengths)
    free_energy = structure.reduce(FreeEnergy(1.0))
    order = torch.tensor([2, 0, 1])
    shuffled, _ = model.structure("y", "z", x=x[order], length=lengths[order])
    torch.testing.assert_close(shuffled.reduce(FreeEnergy(1.0)), free_energy[order])
    noise = x.clone()
    noise[1, 3:], noise[2, 1:] = 7.0, -9.0
    padded, _ = model.structure("y", "z", x=noise, length=lengths)
    torch.testing.assert_close(padded.reduce(FreeEnergy(1.0)), free_energy)


def test_two_thousand_positions_in_single_precision():
    acceptor = Acceptor.of("(a | b)*", 2, a=0, b=1)
    x = 3 * torch.randn(2, 2000, 1, 2, generator=torch.Generator().manual_seed(0))
    model = PieceEnergies(acceptor, (-1, -1), positions=2000, longest=1, max_length=1)
    lengths = torch.tensor([2000, 1500])
    structure, _ = model.structure("y", "z", x=x, length=lengths)
    got, share = structure.share(FreeEnergy(1.0))
    there = torch.arange(2000) < lengths[:, None]
    by_hand = -(torch.logsumexp(-x[:, :, 0].double(), -1) * there).sum(1)
    torch.testing.assert_close(got.double(), by_hand, rtol=1e-6, atol=0)
    torch.testing.assert_close(share[:, :, 0], (-x[:, :, 0]).softmax(-1) * there[..., None], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "objective", [NegativeLogLikelihood("y"), Perceptron("y"), Hinge("y", 1.5), MinimumClassificationError("y")]
)
def test_objectives_compare_right_strings_with_the_others(objective):
    model, x = energy(), pieces(4)
    y = written([[0, 1], [1], [0]])
    for latent in (model.minimize("z"), model.marginalize("z")):
        soft = latent.reduction == FreeEnergy(1.0)
        if not soft and isinstance(objective, NegativeLogLikelihood):
            with pytest.raises(StructureError, match="use the same for both"):
                objective(latent, {"x": x, "length": LENGTHS, "y": y})
            continue
        reduce = (lambda e: free(e, 1.0)) if soft else min
        losses = []
        for i in range(3):
            wanted = y[i][y[i] >= 0].tolist()
            right = reduce([r[0] for r in listed(x, i, lambda s, w=wanted: s == w)])
            wrong = reduce([r[0] for r in listed(x, i, lambda s, w=wanted: s != w)])
            every = reduce([r[0] for r in listed(x, i)])
            losses.append(
                max(0.0, 1.5 + right - wrong)
                if isinstance(objective, Hinge)
                else 1 / (1 + math.exp(wrong - right))
                if isinstance(objective, MinimumClassificationError)
                else right - every
            )
        loss = objective(latent, {"x": x, "length": LENGTHS, "y": y})
        assert loss.value.item() == pytest.approx(sum(losses) / 3, rel=1e-9)


def test_what_cannot_be_is_infinitely_high_and_said():
    model, x = energy(), pieces(0)
    long = written([[0, 1, 0, 1], [0, 1, 0, 1], [0, 1]])
    energies = model.marginalize("z")(x=x, length=LENGTHS, y=long)
    assert energies.isinf().tolist() == [False, True, True]
    with pytest.raises(StructureError, match=r"sample 1, \[0, 1, 0, 1\].*longer than its input allows"):
        NegativeLogLikelihood("y")(model.marginalize("z"), {"x": x, "length": LENGTHS, "y": long})
    narrow = x.clone().requires_grad_()  # no junk of two positions: all labels of a kind of piece are forbidden at once
    barred = narrow.masked_fill((torch.arange(D) > 0)[:, None] & (torch.arange(C) == 2), math.inf)
    model.structure("y", "z", x=barred, length=LENGTHS)[0].reduce(FreeEnergy(1.0)).sum().backward()
    assert narrow.grad.isfinite().all() and not narrow.grad[:, :, 1:, 2].any()
    forbidden = x.clone().requires_grad_()
    blocked = forbidden.masked_fill(torch.tensor([False, True, False])[:, None, None, None], math.inf)
    free_energy = model.structure("y", "z", x=blocked, length=LENGTHS)[0].reduce(FreeEnergy(1.0))
    assert free_energy.isinf().tolist() == [False, True, False]
    free_energy[0].backward()
    assert forbidden.grad.isfinite().all()
    with pytest.raises(SpaceError, match="strings of 4 symbols.*max_length is 2"):
        PieceEnergies(model.acceptor, (0, 1, -1), positions=4, longest=2, max_length=2)
