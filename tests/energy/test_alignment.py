"""Every reduction over alignments against a list of all of them."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import ctc_loss

from lowland.contracts import check_energy
from lowland.energy import Entropy, FreeEnergy, KBest, Min, Sample
from lowland.energy.alignment import Alignments, FrameEnergies
from lowland.errors import StructureError
from lowland.inference import infer
from lowland.objectives import Hinge, NegativeLogLikelihood, Perceptron

T, C = 4, 2
LENGTHS = torch.tensor([4, 3, 1])
STRINGS = [[0, 0], [1, 0, 1], [1]]


def energy() -> FrameEnergies:
    return FrameEnergies(C, T)


def frames(seed: int) -> torch.Tensor:
    return torch.randn(3, T, 1 + C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def written(strings) -> torch.Tensor:
    return torch.tensor([[*string, *[-1] * (T - len(string))] for string in strings])


def read(labels) -> list[int]:
    return [label - 1 for label, _ in itertools.groupby(labels) if label > 0]


def listed(x: torch.Tensor, sample: int, accepts=lambda string: True) -> list[tuple[float, list, list]]:
    """Energy, labels and string of every labelling of a sample, the lowest first."""
    found = []
    for labels in itertools.product(range(1 + C), repeat=int(LENGTHS[sample])):
        if accepts(read(labels)):
            found.append(
                (sum(x[sample, t, label].item() for t, label in enumerate(labels)), list(labels), read(labels))
            )
    return sorted(found)


def free(readings, beta) -> float:
    return -torch.logsumexp(-beta * torch.tensor([e for e, *_ in readings], dtype=torch.float64), 0).item() / beta


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
def test_minimum_and_free_energy_of_one_string_all_and_all_others(seed, beta):
    E, x, y = energy(), frames(seed), written(STRINGS)
    known = {"x": x, "length": LENGTHS}
    one, every = E.structure("z", y=y, **known)[0], E.structure("y", "z", **known)[0]
    others = E.structure("y", "z", other_than=y, **known)[0]
    for sample, string in enumerate(STRINGS):
        for structure, accepts in (
            (one, lambda s, string=string: s == string),
            (every, lambda s: True),
            (others, lambda s, string=string: s != string),
        ):
            readings = listed(x, sample, accepts)
            if not readings:
                assert structure.reduce(Min())[sample] == torch.inf
                continue
            assert structure.reduce(Min())[sample].item() == pytest.approx(readings[0][0], abs=1e-10)
            assert structure.reduce(FreeEnergy(beta))[sample].item() == pytest.approx(free(readings, beta), abs=1e-10)


def test_the_best_few_the_entropy_and_the_labels():
    E, x = energy(), frames(3)
    structure = E.structure("y", "z", x=x, length=LENGTHS)[0]
    paths, _ = E.structure("z", x=x, length=LENGTHS, y=written(STRINGS))[0].read(Min())
    strings, best = structure.read(KBest(3))
    for sample in range(3):
        readings = listed(x, sample)
        assert best[sample].tolist() == pytest.approx([e for e, *_ in readings[:3]])
        assert [[c for c in s if c >= 0] for s in strings[sample].tolist()] == [string for *_, string in readings[:3]]
        p = torch.tensor([-e for e, *_ in readings]).softmax(0)
        assert structure.reduce(Entropy())[sample].item() == pytest.approx(-(p * p.log()).sum().item(), abs=1e-5)
        mine = listed(x, sample, lambda s, sample=sample: s == STRINGS[sample])
        if mine:
            assert [label for label in paths[sample].tolist() if label >= 0] == mine[0][1]
            q = torch.tensor([-e for e, *_ in mine]).softmax(0)
            line = E.structure("z", x=x, length=LENGTHS, y=written(STRINGS))[0]
            assert line.reduce(Entropy())[sample].item() == pytest.approx(-(q * q.log()).sum().item(), abs=1e-5)


def test_draws_are_as_common_as_they_are_likely():
    E, x, count = energy(), frames(5), 4000
    many = x[:1].expand(count, -1, -1)
    generator = torch.Generator().manual_seed(0)
    structure = E.structure("z", x=many, length=LENGTHS[:1].expand(count), y=written([[1]]).expand(count, -1))[0]
    paths, _ = structure.read(Sample(1.0, generator))
    readings = listed(x, 0, lambda s: s == [1])
    p = torch.tensor([-e for e, *_ in readings]).softmax(0)
    seen = torch.tensor([(paths == torch.tensor(labels)).all(1).sum() for _, labels, _ in readings])
    assert seen.sum() == count
    assert ((seen - count * p).square() / (count * p)).sum() < 30  # χ², 9 degrees of freedom: 1 in 2,000


def test_the_kernel_and_the_recursion_agree_with_their_gradients():
    x, y = frames(7).requires_grad_(), written([[0, 0], [1], [1]])
    slopes = []
    for reduce in (lambda s: s.reduce(FreeEnergy(1.5)), lambda s: s._along_line(FreeEnergy(1.5), s.string)):
        value = reduce(Alignments(x, LENGTHS, y))
        slopes.append((value.detach(), torch.autograd.grad(value.sum(), x)[0]))
    torch.testing.assert_close(slopes[0], slopes[1])


def test_normalised_frames_give_connectionist_temporal_classification():
    x, y = frames(8), written([[0, 0], [1], [1]])
    loss = NegativeLogLikelihood()(energy().marginalize("z"), {"x": x, "length": LENGTHS, "y": y}).value
    wanted = ctc_loss(
        (-x).log_softmax(-1).transpose(0, 1), y.clamp_min(0) + 1, LENGTHS, torch.tensor([2, 1, 1]), reduction="none"
    )
    torch.testing.assert_close(loss, wanted.mean())


def test_gradients_are_shares_and_forbidden_strings_give_no_nan():
    E, x = energy(), frames(9).requires_grad_()
    for objective, F in ((Hinge(), E.minimize("z")), (Hinge(), E.marginalize("z")), (Perceptron(), E.minimize("z"))):
        loss = objective(F, {"x": x, "length": LENGTHS, "y": written([[0, 0], [1], [1]])}).value
        assert torch.autograd.grad(loss, x)[0].isfinite().all()
    too_long = written([[0, 0], [1, 1], [0, 1]])
    for F in (E.marginalize("z"), E.minimize("z")):
        energies = F(x=x, length=LENGTHS, y=too_long)
        assert energies.isinf().tolist() == [False, False, True]
        assert torch.autograd.grad(energies[:2].sum(), x)[0].isfinite().all()
    with pytest.raises(StructureError, match="no path leads to the answer of sample 2"):
        Perceptron()(E.minimize("z"), {"x": x, "length": LENGTHS, "y": too_long})


def test_what_is_known_and_how_long_the_padding_is_change_nothing():
    E, x, y = energy(), frames(11), written([[0, 0], [1], [1]])
    F = E.marginalize("z")
    torch.testing.assert_close(F.given(x=x, length=LENGTHS)(y=y), F(x=x, length=LENGTHS, y=y))
    longer = torch.nn.functional.pad(x, (0, 0, 0, 3), value=5.0)
    padded = torch.nn.functional.pad(y, (0, 3), value=-1)
    torch.testing.assert_close(
        FrameEnergies(C, T + 3).marginalize("z")(x=longer, length=LENGTHS, y=padded), F(x=x, length=LENGTHS, y=y)
    )
    z = infer(E.given(x=x, length=LENGTHS), "z", y=y).value
    torch.testing.assert_close(E(x=x, length=LENGTHS, y=y, z=z), E.minimize("z")(x=x, length=LENGTHS, y=y))
    assert E.strings(z).tolist() == y.tolist()
    assert E(x=x, length=LENGTHS, y=y, z=z.roll(1, 1))[1] == torch.inf


def test_contract():
    x, y = frames(12), written([[0, 0], [1], [1]])
    z = torch.tensor([[1, 0, 1, 0], [0, 2, 2, -1], [2, -1, -1, -1]])
    check_energy(energy(), {"x": x, "length": LENGTHS, "y": y, "z": z})
    check_energy(energy())


# --- random questions: forbidden labels, strings that are too long, samples without a frame ---------------------------


def asked(seed: int, forbidden: float = 0.0, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Frames that are not normalised, and strings, some too long for their frames."""
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(6, T, 1 + C, generator=generator, dtype=torch.float64)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < forbidden, torch.inf)
    size = torch.tensor([2, 0, 3, 2, 0, 1])
    y = torch.randint(C, (6, 3), generator=generator).masked_fill(torch.arange(3) >= size[:, None], -1)
    return {"potentials": x, "lengths": torch.tensor([4, 3, 4, 2, 0, 0]), "string": y}


def labellings(question: dict[str, torch.Tensor], which: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each sample the labellings ``(n, T)`` that spell the string, all others or all, and their energies."""
    found = []
    for x, length, string in zip(*question.values(), strict=True):
        every = list(itertools.product(range(1 + C), repeat=int(length)))
        paths = torch.tensor(every, dtype=torch.int64).reshape(len(every), int(length))
        energies = x.new_zeros(len(every))
        for t in range(int(length)):
            energies = energies + x[t, paths[:, t]]
        paths = torch.nn.functional.pad(paths, (0, T - int(length)), value=-1)
        right = torch.tensor([read(labels) == string[string >= 0].tolist() for labels in every])
        keep = {"one": right, "others": ~right, "all": torch.ones_like(right)}[which]
        found.append((paths[keep], energies[keep] if keep.any() else x.new_tensor([torch.inf])))
    return found


def structured(question: dict[str, torch.Tensor], which: str) -> Alignments:
    if which == "all":
        return Alignments(question["potentials"], question["lengths"])
    return Alignments(**question, other=which == "others")


questions = st.builds(
    asked, st.integers(0, 10**6), forbidden=st.sampled_from([0.0, 0.2]), scale=st.sampled_from([0.0, 1.0, 40.0])
)
which_of = st.sampled_from(["one", "others", "all"])
betas = st.sampled_from([0.5, 1.0, 3.0])
CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@given(questions, which_of, betas)
def test_random_questions_reduce_to_their_list(question, which, beta):
    right = labellings(question, which)
    for reduction in (Min(), FreeEnergy(beta), KBest(4)):
        expected = torch.stack([reduction(energies) for _, energies in right])
        torch.testing.assert_close(structured(question, which).reduce(reduction), expected, **CLOSE)


@given(questions, which_of, betas)
def test_posteriors_are_those_of_the_list(question, which, beta):
    share = structured(question, which).share(FreeEnergy(beta))[1]
    for n, (paths, energies) in enumerate(labellings(question, which)):
        wanted = torch.zeros_like(share[n])
        if energies.min().isfinite():
            chances = FreeEnergy(beta).answer(energies)
            for t in range(int(question["lengths"][n])):
                wanted[t].index_add_(0, paths[:, t], chances)
        torch.testing.assert_close(share[n], wanted, **CLOSE)


@given(questions)
def test_the_best_labelling_is_that_of_the_list(question):
    z, energies = structured(question, "one").read(Min())
    for n, (paths, right) in enumerate(labellings(question, "one")):
        torch.testing.assert_close(energies[n], right.min(), **CLOSE)
        if right.min().isfinite():
            torch.testing.assert_close(right[(paths == z[n]).all(1)].squeeze(0), right.min(), **CLOSE)


@pytest.mark.parametrize("which", ["one", "others", "all"])
def test_gradients_agree_with_finite_differences(which):
    question = asked(3)
    question["potentials"].requires_grad_()
    for reduction in (FreeEnergy(1.5), Min(), Entropy(1.5), KBest(2)):

        def reduced(potentials, reduction=reduction):
            found = structured(question | {"potentials": potentials}, which).reduce(reduction)
            return torch.where(found.isfinite(), found, 0.0)

        assert torch.autograd.gradcheck(reduced, question["potentials"])


def test_free_energy_tends_to_the_minimum():
    structure = structured(asked(5), "one")
    low = structure.reduce(Min())
    there = low.isfinite()
    gaps = [(low - structure.reduce(FreeEnergy(beta)))[there].abs().max() for beta in (1.0, 10.0, 100.0, 1e4)]
    assert all(one >= other for one, other in itertools.pairwise(gaps)) and gaps[-1] < 1e-3


def test_the_order_of_the_batch_changes_nothing():
    question, order = asked(7), torch.tensor([3, 1, 5, 0, 2, 4])
    turned = {name: value[order] for name, value in question.items()}
    for which, reduction in itertools.product(["one", "others", "all"], [Min(), FreeEnergy(), KBest(3)]):
        whole = structured(question, which).reduce(reduction)
        torch.testing.assert_close(structured(turned, which).reduce(reduction), whole[order], rtol=0, atol=1e-12)


def test_single_precision_carries_two_thousand_frames():
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(2, 2000, 8, generator=generator)
    string = torch.randint(7, (2, 300), generator=generator)
    lengths = torch.tensor([2000, 1500])
    single, double = (
        Alignments(x.to(dtype), lengths, string).share(FreeEnergy()) for dtype in (torch.float32, torch.float64)
    )
    for one, other in zip(single, double, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("forbid", [False, True])
def test_what_no_labelling_spells_has_no_gradient(forbid):
    x = torch.zeros(3, 4, 3, requires_grad=True)
    barred = torch.zeros(3, 4, 3, dtype=torch.bool)
    barred[2, 0] = forbid
    string = torch.tensor([[0, 0, 1], [0, 1, 0], [1, -1, -1]])  # 0, nothing, 0, 1 needs four frames
    lengths = torch.tensor([3, 4, 4])
    for reduction in (FreeEnergy(), Min(), Sample()):
        for which in (string, None):
            free = Alignments(x.masked_fill(barred, torch.inf), lengths, which).reduce(reduction)
            (slope,) = torch.autograd.grad(free.sum(), x)
            assert free.isposinf().tolist() == [which is not None, False, forbid]
            assert slope.isfinite().all() and (slope[0] == 0).all() == (which is not None)
            assert abs(slope[1].sum() - 4) < 1e-5 and (slope[2].sum() == 0) == forbid


def test_frames_of_half_precision_are_summed_in_single():
    question = asked(9)
    rounded = question["potentials"].bfloat16()
    free, exact = (Alignments(x, *list(question.values())[1:]).reduce(FreeEnergy()) for x in (rounded, rounded.float()))
    torch.testing.assert_close(free.float(), exact, rtol=1e-2, atol=1e-2)
