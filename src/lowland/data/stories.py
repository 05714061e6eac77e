"""Stories with questions as symbols, words never seen among them, and a small world that tells some.

A word that is in no vocabulary gets one of a few spare symbols, a new one for each such word of a story: which one says nothing about
it, so it is known by what the story says of it alone. A net learns what to do with them from stories in which known names are replaced.

Source: Weston, Chopra & Bordes, Memory Networks, ICLR 2015, section 3.4, for words never seen (there: by the words around them).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int64
from torch import Tensor, nn

from ..errors import DataError, UsageError
from ..spaces import NOTHING
from .babi import stories
from .text import read_lines

#: The symbol that ends a sentence.
STOP = 0
_WORD = re.compile(r"[^\W_](?:[\w,'-]*\w)?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")

#: The sentences of a story, and the question after it.
Question = tuple[Sequence[str], str]


class Lexicon(nn.Module):
    """Words and their symbols: 0 ends a sentence, then the words that were learnt, and the spare ones last. It is kept with the weights.

    Args:
        size: V, how many symbols there are.
        spare: How many of them stand for words that it does not know.
    """

    def __init__(self, size: int, spare: int) -> None:
        super().__init__()
        self.size, self.spare = size, spare
        self.words: dict[str, int] = {}

    def learn(self, words: Iterable[str]) -> None:
        """Know these words.

        Raises:
            UsageError: If there are more of them than symbols.
        """
        known = sorted(set(words))
        room = self.size - self.spare - 1
        if len(known) > room:
            raise UsageError(
                f"Lexicon: wanted at most {room} words, got {len(known)}; raise --words to {self.size + len(known) - room}."
            )
        self.words = {word: symbol for symbol, word in enumerate(known, 1)}

    def encode(self, questions: Sequence[Question], places: int) -> Int64[Tensor, "N T"]:
        """The last ``places`` sentences of each story, and its question: −1 to the end."""
        coded = []
        for told, question in questions:
            symbols, strangers = [], self.strangers((told, question))
            for sentence in told[-places:]:
                symbols += [*(self._symbol(word, strangers) for word in split(sentence)), STOP]
            coded.append(torch.tensor([*symbols, *(self._symbol(word, strangers) for word in split(question))]))
        return nn.utils.rnn.pad_sequence(coded, batch_first=True, padding_value=NOTHING)

    def strangers(self, question: Question) -> list[str]:
        """The words of a story that it does not know, in the order in which they come; the n-th has the n-th spare symbol."""
        text = [word for sentence in (*question[0], question[1]) for word in split(sentence)]
        return list(dict.fromkeys(word for word in text if word not in self.words))

    def say(self, symbol: int, question: Question) -> str:
        """The word of a symbol that answers a question, as the question's story spells it if it is a new one."""
        first = self.size - self.spare
        if symbol >= first:
            strangers = self.strangers(question)
            return spelt(strangers[symbol - first], question) if symbol - first < len(strangers) else "?"
        return self.labels[symbol]

    @property
    def labels(self) -> tuple[str, ...]:
        """What each symbol is called."""
        names = {symbol: word for word, symbol in self.words.items()}
        return tuple("." if s == STOP else names.get(s, f"<{s}>") for s in range(self.size))

    def _symbol(self, word: str, strangers: list[str]) -> int:
        if word in self.words:
            return self.words[word]
        return self.size - self.spare + min(strangers.index(word), self.spare - 1)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(list("\n".join(self.words).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        text = bytes(state.tolist()).decode()
        self.learn(text.split("\n") if text else ())


class Questions:
    """A batch of stories with questions as they were typed.

    Args:
        asked: Each story's sentences, and its question.
    """

    def __init__(self, asked: Sequence[Question]) -> None:
        self.asked = list(asked)

    def __len__(self) -> int:
        return len(self.asked)

    def repeat_interleave(self, times: int, dim: int = 0) -> Questions:
        """Each of them so many times, as `torch.Tensor.repeat_interleave`."""
        return Questions([one for one in self.asked for _ in range(times)])

    def to(self, device: object) -> Questions:
        """Text is where it is."""
        return self


def split(sentence: str) -> list[str]:
    """The words of a sentence, in lower case and without punctuation: commas and hyphens within a word are part of it."""
    return [word.lower() for word in _WORD.findall(sentence)]


def spelt(word: str, question: Question) -> str:
    """A word as a story spells it."""
    found = (given for sentence in (*question[0], question[1]) for given in _WORD.findall(sentence))
    return next((given for given in found if given.lower() == word), word)


def read_questions(path: str) -> list[Question]:
    """Stories with questions, from a text file or, for ``-``, from what is typed.

    A line is a sentence or several, or a question with its mark; a number may stand before it, and an answer after a tab, as in bAbI. An
    empty line or the number 1 begins another story.

    Raises:
        DataError: If the file can't be read, or asks nothing.
    """
    if path == "-":
        return questions_in(sys.stdin.read(), "what was typed")
    return questions_in("\n".join(read_lines(path)), path)


def questions_in(text: str, where: str = "the text") -> list[Question]:
    """Stories with questions, from a text as `read_questions` reads it.

    Raises:
        DataError: If it asks nothing.
    """
    lines, number = [], 0
    for line in text.splitlines():
        written = re.match(r"\s*(\d+)\s+(.*)", line)
        if not line.strip() or (written and int(written[1]) == 1):
            number = 0
        rest = (written[2] if written else line).split("\t")[0].strip()
        for sentence in filter(None, _SENTENCE.split(rest)):
            number += 1
            lines.append(f"{number} {sentence}" + ("\t?" if sentence.endswith("?") else ""))
    asked: list[Question] = [(told, question) for told, question, _, _ in stories("\n".join(lines), where)]
    if not asked:
        raise DataError(f"{where}: wanted a story and a question that ends with '?', got no question.")
    return asked


def read_answered(path: str) -> tuple[dict[str, list[Any]], dict[str, list[Any]], dict[str, Any]]:
    """Stories with questions and answers of one's own, as one task: nine in ten questions to learn from, and a tenth to judge by.

    Returns:
        ``asked`` (each story's sentences, and its question), ``answer``, ``facts`` and ``task``, twice; and what was read.

    Raises:
        DataError: If the file can't be read, is not in bAbI's format, or has fewer than 20 questions.
    """
    text = "\n".join(read_lines(path))
    found = stories(text, path)
    if len(found) < 20:
        raise DataError(f"{path}: wanted at least 20 questions with their answers after a tab, got {len(found)}.")
    train, test = ({"asked": [], "answer": [], "facts": [], "task": []} for _ in range(2))
    for at, (told, question, answer, facts) in enumerate(found):
        for name, value in zip(train, ((told, question), answer, facts, 1), strict=True):
            (test if at % 10 == 9 else train)[name].append(value)
    checksum = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return (
        train,
        test,
        {Path(path).name: {"split": "all", "samples": len(found), "sha256": {Path(path).name: checksum}}},
    )


def words_of(questions: Iterable[Question]) -> set[str]:
    """All words of stories and their questions."""
    return {word for told, question in questions for text in (*told, question) for word in split(text)}


def things(questions: Iterable[Question], answers: Iterable[str]) -> set[str]:
    """Words that could as well be others: answers that a story puts "the" before, and names, which have a capital within a question."""
    after, names = set(), set()
    for told, question in questions:
        for sentence in told:
            words = split(sentence)
            after.update(word for before, word in pairwise(words) if before == "the")
        names.update(word.lower() for word in _WORD.findall(question)[1:] if word[0].isupper())
    return names | (after & {answer.lower() for answer in answers})


def rename(
    x: Int64[Tensor, "N T"],
    y: Int64[Tensor, " N"],
    chances: Tensor,
    kept: Bool[Tensor, " V"],
    spare: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Give words of each story spare symbols, the same for a word throughout, drawn without replacement.

    Args:
        x: Stories with questions.
        y: Their answers.
        chances: ``(N,)``, how probable it is for a word of the story to be renamed.
        kept: Which words never are.
        spare: How many spare symbols there are, the last ones.
        generator: Draws.
    """
    vocabulary = len(kept)
    inside = torch.where(x == NOTHING, vocabulary, x)  # the last column of a table stands for nothing
    there = torch.zeros(len(x), vocabulary + 1, dtype=torch.bool).scatter_(1, inside, True)
    drawn = torch.rand(len(x), vocabulary, generator=generator) < chances[:, None]
    renamed = there[:, :-1] & ~kept & drawn
    rank = renamed.cumsum(1) - 1
    renamed &= rank < spare
    order = torch.rand(len(x), spare, generator=generator).argsort(1)
    new = vocabulary - spare + order.gather(1, rank.clamp(0, spare - 1))
    table = torch.where(renamed, new, torch.arange(vocabulary))
    table = torch.cat([table, torch.full((len(x), 1), NOTHING)], 1)
    answer = torch.where(y == NOTHING, vocabulary, y)
    return table.gather(1, inside), table.gather(1, answer[:, None]).squeeze(1)


def small_world(count: int, generator: torch.Generator) -> dict[str, list[Any]]:
    """Stories of people who go from room to room, each with a question, its answer, and the sentence that it needs; named as by
    `read_answered`."""
    people, rooms = ["Mary", "John", "Sandra", "Daniel"], ["kitchen", "garden", "office", "hallway", "bedroom"]
    found: dict[str, list[Any]] = {"asked": [], "answer": [], "facts": [], "task": [1] * count}
    draws = torch.randint(20, (count, 5), generator=generator).tolist()
    lengths = torch.randint(2, 6, (count,), generator=generator).tolist()
    for draw, length in zip(draws, lengths, strict=True):
        moves = [(people[d % 4], rooms[d // 4]) for d in draw[:length]]
        who = moves[draw[4] % length][0]
        last = max(at for at, (person, _) in enumerate(moves) if person == who)
        found["asked"].append(([f"{person} went to the {room}." for person, room in moves], f"Where is {who}?"))
        found["answer"].append(moves[last][1])
        found["facts"].append([last])
    return found
