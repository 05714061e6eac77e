"""bAbI: short stories of a small world, and questions that need one, two or three of their sentences."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import reading

TASKS = 20
_MEMBER = re.compile(r"qa(\d+)_[^/]*_(train|test)\.txt$")


def _load(find: Find, split: str) -> dict[str, Any]:
    path = find("tasks_1-20_v1-2_en.tar.gz")
    found: dict[str, list[Any]] = {"task": [], "story": [], "question": [], "answer": [], "facts": []}
    for task, text in sorted(_members(path, split).items()):
        for story, question, answer, facts in stories(text, f"{path}, task {task}"):
            for name, value in zip(found, (task, story, question, answer, facts), strict=True):
                found[name].append(value)
    return found


def stories(text: str, where: str = "the story") -> list[tuple[list[str], str, str, list[int]]]:
    """Each question with all that was told before it, its answer, and the places in the story of the sentences that it needs.

    Args:
        text: Lines ``1 Mary went home.`` and ``2 Where is Mary?<tab>home<tab>1``; a line numbered 1 begins a new story.
        where: Named in an error.

    Raises:
        DataError: If a line is neither, with its number.
    """
    found: list[tuple[list[str], str, str, list[int]]] = []
    told: list[str] = []
    places: dict[int, int] = {}
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        number, _, rest = line.strip().partition(" ")
        question, *asked = rest.split("\t")
        if not number.isdigit() or len(asked) not in (0, 1, 2):
            raise DataError(
                f"{where}, line {at}: wanted a number and a sentence, or a question, a tab and its answer; got {line!r}."
            )
        if int(number) == 1:
            told, places = [], {}
        if asked:
            needed = [places[int(n)] for n in asked[1].split() if int(n) in places] if len(asked) == 2 else []
            found.append((list(told), question.strip(), asked[0].strip(), needed))
        else:
            places[int(number)] = len(told)
            told.append(rest.strip())
    return found


def _members(path: Path, split: str) -> dict[int, str]:
    with reading(path, f"a tar archive with {TASKS} tasks"):
        try:
            with tarfile.open(path, "r:gz") as archive:
                texts = {}
                for member in archive:
                    match = _MEMBER.search(member.name)
                    stream = archive.extractfile(member) if match and match[2] == split else None
                    if match and stream is not None:
                        texts[int(match[1])] = stream.read().decode("utf-8")
        except tarfile.TarError as error:
            raise ValueError(str(error)) from error
    if len(texts) != TASKS:
        raise DataError(f"{path}: wanted {TASKS} tasks, got {len(texts)}.")
    return texts


BABI = Dataset(
    name="babi",
    what="Stories of people, things and places, and questions about them, in 20 tasks: 1,000 questions of each for training, 1,000 for "
    "testing, in English.",
    shapes={
        "task": "list of int: 1 to 20",
        "story": "list of lists of str: the sentences told before the question",
        "question": "list of str",
        "answer": "list of str: one word, or several with commas between them",
        "facts": "list of lists of int: which sentences of the story the answer follows from",
    },
    splits={"train": 20_000, "test": 20_000},
    source="J. Weston et al., Facebook AI Research; as passed on with the MemN2N code.",
    licence="CC BY 3.0",
    citation="Weston et al., Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks (2015).",
    loader=_load,
    files=(
        DataFile(
            "tasks_1-20_v1-2_en.tar.gz",
            (Edition(565_167, "dc1012e73f6fa962b3223ae31a91ff8a6efbf2d150c7d0fb1d50963534c88425"),),
        ),
    ),
)
