"""A memory net reads its own story alone, looks where the slope of a free energy says, and learns what it is told."""

import pytest
import torch

from lowland.energy import FreeEnergy, Min
from lowland.nets import MemoryHops
from lowland.nets.memory_hops import sentences

STOP = 0
STORY = [[1, 2, 3, 0, 4, 5, 0, 6, 1], [7, 0, 2, 2, 5, -1, -1, -1, -1], [3, 4, -1, -1, -1, -1, -1, -1, -1]]


@pytest.fixture
def x():
    return torch.tensor(STORY)


def net(**options):
    torch.manual_seed(0)
    made = MemoryHops(8, STOP, dim=6, places=4, **options)
    torch.nn.init.normal_(made.words)
    torch.nn.init.normal_(made.times)
    return made.eval()


def test_stories_are_cut_into_sentences_and_a_question(x):
    told = sentences(x, STOP)
    assert told.words.tolist() == [1, 2, 3, 4, 5, 6, 1, 7, 2, 2, 5, 3, 4]
    assert told.sentence.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 4, 5, 5]
    assert told.story.tolist() == [0, 0, 0, 1, 1, 2] and told.age.tolist() == [1, 0, -1, 0, -1, -1]
    torch.testing.assert_close(told.place[:5], torch.tensor([1 / 3, 2 / 3, 1, 1 / 2, 1]))


def test_a_sentence_is_coded_as_published(x):
    """Sukhbaatar et al., section 4.1: Σ_j l_j · A x_j with l_kj = (1 − j/J) − (k/d) (1 − 2j/J)."""
    made = net()
    coded = made._coded(sentences(x, STOP))[0, :6]
    k = torch.arange(1, 7) / 6
    wanted = sum(((1 - j / 3) - k * (1 - 2 * j / 3)) * made.words[word, :6] for j, word in enumerate((1, 2, 3), 1))
    torch.testing.assert_close(coded, wanted)


def test_what_a_hop_reads_is_the_slope_of_a_free_energy(x):
    made = net(hops=1)
    memory = made.remember(x)
    weights, scores = made.look(memory, 0, memory.question)
    energies = (-scores[0, 0, :2]).detach().requires_grad_()
    FreeEnergy(1.0)(energies).backward()
    torch.testing.assert_close(weights[0, 0, :2], energies.grad, atol=1e-6, rtol=0)
    u = memory.question + weights @ memory.values[0]
    torch.testing.assert_close(made(x), (u @ made.words[:, -6:].T)[0])


def test_a_hard_hop_reads_the_place_of_lowest_energy(x):
    made = net(hops=1)
    soft = made(x)
    made.hard = True
    memory = made.remember(x)
    scores = made.look(memory, 0, memory.question)[1]
    lowest = Min().answer(-scores) * memory.own
    u = memory.question + lowest @ memory.values[0]
    torch.testing.assert_close(made(x), (u @ made.words[:, -6:].T)[0])
    assert not torch.allclose(soft, made(x))


@pytest.mark.parametrize("options", [{}, {"by_word": True}], ids=["sentences", "words"])
def test_a_story_is_answered_from_itself_alone(x, options):
    made = net(**options)
    together = made(x)
    for row in range(3):
        alone = x[row][x[row] >= 0][None]
        torch.testing.assert_close(made(alone)[0], together[row])
    other = x.clone()
    other[0, :7] = torch.tensor([3, 2, 1, 0, 5, 4, 0])
    assert not torch.allclose(made(other)[0], together[0])


def test_tries_do_not_see_each_other(x):
    made = net(tries=3)
    both = made.every(x)[0]
    parts = made.words.detach().view(8, 3, -1), made.times.detach().view(4, 3, -1)
    alone = net()
    for one in range(3):
        alone.words.data, alone.times.data = parts[0][:, one], parts[1][:, one]
        torch.testing.assert_close(alone(x), both[one])
    made.chosen.fill_(2)
    torch.testing.assert_close(made(x), both[2])


def test_only_the_last_places_are_remembered():
    made = net()
    told = [[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7]]
    long = torch.tensor(told)
    torch.testing.assert_close(made(long), made(long[:, 2:]))
    seen = made.attention(long)
    assert seen.shape == (1, 3, 4)
    torch.testing.assert_close(seen.sum(-1), torch.ones(1, 3))


def test_facts_that_are_told_are_paid_for(x):
    made = net(hops=2)
    facts = torch.tensor([[0, 1], [0, -1], [-1, -1]])
    answers, cost = made.every(x, facts)
    torch.testing.assert_close(answers[0], made(x))
    seen = made.attention(x).log()
    wanted = [-seen[0, 0, 0] - seen[0, 1, 1], -seen[1, 0, 0], 0.0]
    torch.testing.assert_close(cost[0], torch.tensor(wanted), atol=1e-4, rtol=1e-4)


def test_empty_memories_move_times_in_training_alone(x):
    made = net(noise=0.9)
    assert torch.equal(made(x), made(x))
    made.train()
    torch.manual_seed(0)
    told = sentences(x[:1], STOP)
    times, empty = made._times(told)
    assert empty.tolist()[2] is False and times[2] == -1
    ages = told.age + torch.tensor([int(empty[:2].sum()), int(empty[1]), 0])
    assert times.tolist() == ages.tolist()


def test_it_learns_who_went_where():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    who = torch.stack([torch.randperm(3, generator=generator) for _ in range(256)]) + 1
    where = torch.randint(4, 7, (256, 3), generator=generator)
    asked = torch.randint(3, (256, 1), generator=generator)
    stop = torch.zeros(256, 1, dtype=torch.int64)
    told = [part for s in range(3) for part in (who[:, s : s + 1], where[:, s : s + 1], stop)]
    x, y = torch.cat([*told, who.gather(1, asked)], 1), where.gather(1, asked)[:, 0]
    made = MemoryHops(7, STOP, dim=12, hops=1, places=4)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.03)
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(made(x[:200]), y[:200]).backward()
        optimizer.step()
    assert (made.eval()(x[200:]).argmax(-1) == y[200:]).float().mean() > 0.95
