"""Stories as symbols: known words, new words, and what is typed."""

import io
import sys

import pytest
import torch

from lowland.data import Lexicon, questions_in, read_answered, read_questions, rename, small_world, things, words_of
from lowland.errors import DataError, UsageError

STORY = (["Mary went to the hall.", "John took the milk there."], "Where is Mary?")


@pytest.fixture
def lexicon():
    made = Lexicon(20, spare=3)
    made.learn(words_of([STORY]))
    return made


def test_known_words_have_symbols_and_new_ones_spare_ones(lexicon):
    told = (["Frodo went to the Shire.", "Frodo took the ring there."], "Where is Frodo?")
    known, new = lexicon.encode([STORY, told], places=5)
    words = [
        "mary",
        "went",
        "to",
        "the",
        "hall",
        ".",
        "john",
        "took",
        "the",
        "milk",
        "there",
        ".",
        "where",
        "is",
        "mary",
    ]
    assert [lexicon.labels[s] for s in known.tolist()] == words
    assert [s - 17 for s in new.tolist() if s >= 17] == [0, 1, 0, 2, 0]
    assert [lexicon.say(17 + n, told) for n in range(3)] == ["Frodo", "Shire", "ring"]
    assert lexicon.say(lexicon.words["hall"], told) == "hall"
    assert torch.equal(lexicon.encode([STORY], places=1)[0], known[6:])


def test_words_are_kept_with_the_weights(lexicon):
    other = Lexicon(20, spare=3)
    other.load_state_dict(lexicon.state_dict())
    assert other.words == lexicon.words
    with pytest.raises(UsageError, match="at most 16 words, got 17; raise --words to 21"):
        lexicon.learn(f"word{n}" for n in range(17))


def test_typed_stories_need_no_numbers_and_no_answers():
    asked = questions_in(
        "Mary went home. John left.\nWhere is Mary?\n\n1 Dora sang.\n2 Who sang?\tDora\t1\n1 Eve ran.\n2 Who ran?"
    )
    assert asked == [
        (["Mary went home.", "John left."], "Where is Mary?"),
        (["Dora sang."], "Who sang?"),
        (["Eve ran."], "Who ran?"),
    ]
    with pytest.raises(DataError, match="got no question"):
        questions_in("Mary went home.")


def test_stories_come_from_a_file_or_from_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "story.txt"
    path.write_text("Zoë ran.\nWho ran?\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO(path.read_text()))
    assert read_questions(str(path)) == read_questions("-") == [(["Zoë ran."], "Who ran?")]
    path.write_bytes(b"Zo\xeb ran.\nWho ran?\n")
    with pytest.raises(DataError, match="line 1: wanted UTF-8"):
        read_questions(str(path))


def test_own_stories_are_split_in_ten(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("".join(f"1 Mary saw {n}.\n2 What did Mary see?\t{n}\t1\n" for n in range(20)))
    train, test, sources = read_answered(str(path))
    assert test["answer"] == ["9", "19"] and len(train["asked"]) == 18 and train["facts"][0] == [0]
    assert sources["stories.txt"]["samples"] == 20
    path.write_text("1 Mary saw 1.\n2 What did Mary see?\t1\t1\n")
    with pytest.raises(DataError, match="at least 20 questions"):
        read_answered(str(path))


def test_names_and_places_could_be_others():
    assert things([STORY], ["hall"]) == {"mary", "hall"}


def test_renaming_keeps_stories_what_they_are():
    x, y = torch.tensor([[1, 2, 0, 1, 3, -1], [4, 2, 0, 4, 1, 2]]), torch.tensor([2, -1])
    kept = torch.tensor([True, False, False, True, False] + [True] * 4)
    new, answer = rename(x, y, torch.ones(2), kept, 4, torch.Generator().manual_seed(0))
    assert torch.equal(new >= 5, (x > 0) & (x != 3)) and torch.equal(new[new < 5], x[(x <= 0) | (x == 3)])
    for row in range(2):
        pairs = set(zip(x[row].tolist(), new[row].tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert answer[0] == new[0, 1] and answer[1] == -1
    same, _ = rename(x, y, torch.zeros(2), kept, 4, torch.Generator().manual_seed(0))
    assert torch.equal(same, x)


def test_no_more_words_are_renamed_than_there_are_spare_symbols():
    x = torch.tensor([[1, 2, 3, 4]])
    new, _ = rename(x, x[:, 0], torch.ones(1), torch.zeros(7, dtype=torch.bool), 2, torch.Generator().manual_seed(0))
    assert sorted(new[0, :2].tolist()) == [5, 6] and new[0, 2:].tolist() == [3, 4]


def test_the_small_world_asks_for_what_it_told():
    world = small_world(50, torch.Generator().manual_seed(0))
    for (told, question), answer, (fact,) in zip(world["asked"], world["answer"], world["facts"], strict=True):
        who = question.removeprefix("Where is ").rstrip("?")
        assert told[fact] == f"{who} went to the {answer}."
        assert not any(sentence.startswith(who) for sentence in told[fact + 1 :])
