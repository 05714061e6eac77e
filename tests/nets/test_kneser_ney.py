"""Kneser–Ney counts beside the definition, word by word; chances add up to one; all ways of asking agree."""

from collections import Counter, defaultdict

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive
from lowland.errors import SpaceError
from lowland.inference import Ancestral
from lowland.nets import KneserNey
from lowland.nets.kneser_ney import discounts
from lowland.spaces import Sequence

V, ORDER = 6, 3


@pytest.fixture
def text():
    chances = torch.tensor([8.0, 5, 3, 2, 1, 0.5, 0.2])
    return torch.multinomial(chances, 400, replacement=True, generator=torch.Generator().manual_seed(0))


def by_definition(text, history, symbol):
    """p(symbol | history), by dictionaries, as Chen & Goodman write it down."""
    text = text.tolist()
    grams = [Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for n in range(ORDER + 1)]

    def times(n):
        if n == ORDER:
            return grams[n]
        before = defaultdict(set)
        for gram in grams[n + 1]:
            before[gram[1:]].add(gram[0])
        return {gram: max(len(before[gram]), 1) for gram in grams[n]}

    chance = 1 / (V + 1)
    for n in range(1, ORDER + 1):
        counts, context = times(n), tuple(history[len(history) - n + 1 :])
        after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
        if len(context) < n - 1 or not after:
            continue
        total = sum(after.values())
        cut = discounts(torch.tensor(list(counts.values()), dtype=torch.float64)).tolist()
        left = sum(cut[min(count, 3) - 1] for count in after.values()) / total
        count = after.get(symbol, 0)
        chance = left * chance + (max(count - cut[min(count, 3) - 1], 0) / total if count else 0)
    return chance


def test_it_is_what_the_definition_says(text):
    counts = KneserNey(text, V, ORDER)
    told = [2, 6, 0, 0, 5, 1, 3, 6, 6, 4, 4, 4]
    wanted = torch.tensor([by_definition(text, told[:t], symbol) for t, symbol in enumerate(told)], dtype=torch.float64)
    torch.testing.assert_close(counts.costs(torch.tensor(told)), -wanted.log().float())


def test_the_chances_of_all_symbols_add_up_to_one(text):
    before = torch.tensor([[-1, -1], [-1, 3], [0, 1], [6, 6], [5, 5]])
    chances = KneserNey(text, V, ORDER).chances(before)
    assert chances.min() > 0
    torch.testing.assert_close(chances.sum(1), torch.ones(5, dtype=torch.float64))


def test_all_ways_of_asking_agree(text):
    counts = KneserNey(text, V, ORDER)
    told = torch.tensor([[0, 1, 0, 4, 6, 2]])
    logits = counts(told)
    torch.testing.assert_close(-logits[0, :-1].gather(1, told[0, 1:, None])[:, 0], counts.costs(told[0])[1:])
    memory = counts.begin(1, 1)
    for t in range(told.shape[1]):
        one, memory = counts.extend(told[:, t, None], memory)
        torch.testing.assert_close(one[:, 0], logits[:, t])


def test_draws_are_as_frequent_as_in_the_text(text):
    energy = Autoregressive(KneserNey(text, V, 1), Sequence(V, 1))
    options = {"generator": torch.Generator().manual_seed(0)}
    drawn = infer(energy, "y", solver=Ancestral(draws=4000), options=options).value.flatten()
    shares = torch.bincount(drawn[drawn >= 0], minlength=V) / 4000
    torch.testing.assert_close(shares, torch.bincount(text, minlength=V + 1)[:V] / 400, atol=0.03, rtol=0)


def test_discounts_by_hand():
    times = torch.tensor([1.0] * 8 + [2.0] * 4 + [3.0] * 2 + [4.0], dtype=torch.float64)
    share = 8 / 16
    wanted = [1 - 2 * share * 4 / 8, 2 - 3 * share * 2 / 4, 3 - 4 * share * 1 / 2]
    assert discounts(times).tolist() == pytest.approx(wanted)
    assert discounts(times[:8]).tolist() == [0.5, 1.0, 1.5]


@pytest.mark.parametrize(("text", "order"), [([0, 1], 3), ([0, 9, 1, 2], 2), ([0, -1, 2], 2), ([0, 1, 2], 0)])
def test_what_it_cannot_count_is_refused(text, order):
    with pytest.raises(SpaceError, match="KneserNey: wanted order"):
        KneserNey(torch.tensor(text), V, order)
