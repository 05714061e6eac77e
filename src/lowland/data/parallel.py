"""Parallel text: sentences and their translations, split for learning, tuning and judging."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import DataError, UsageError
from .registry import dataset
from .text import read_parallel

#: Pairs that a text of one's own needs at least, and how many of them are held out at most, for tuning and for judging each.
LEAST, HELD_OUT = 20, 1000
_ONES = {
    "de": ["null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "dreizehn", "vierzehn",
           "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"],
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
           "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"],
}  # fmt: skip
_TENS = {
    "de": ["null", "zehn", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"],
    "en": ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
}

Pairs = tuple[list[str], list[str]]


class Parallel(NamedTuple):
    """Sentences of two languages, the source first.

    Attributes:
        train: Two lists of as many sentences, each the translation of the other's at its place.
        validation: Held out for tuning.
        test: The set's own test split; of one's own text, pairs drawn at random.
        sources: What was read, as a result records it.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    sources: dict[str, dict[str, Any]]


def parallel_text(places: Sequence[str], source: str = "de", target: str = "en", seed: int = 0) -> Parallel:
    """Text in two languages.

    Args:
        places: ``multi30k``; ``numbers`` (embedded: those below 1,000 in words); or two files of UTF-8, each line of which translates
            the other file's: a twentieth of the pairs, at most 1,000, is held out for tuning, and as many for judging.
        source: The language that is read, "de", "en" or "fr"; files say it by their order.
        target: The language that is written.
        seed: Draws which pairs are held out.

    Raises:
        UsageError: For places that are none of these, or a language that the set lacks.
        DataError: If a file is missing or bad, lines don't match, or there are fewer than 20 pairs.
    """
    if len(places) == 2:
        return _own(places[0], places[1], seed)
    if tuple(places) == ("multi30k",):
        described = dataset("multi30k")
        if source == target or not {source, target} <= described.shapes.keys():
            raise UsageError(
                f"parallel_text: multi30k has {', '.join(described.shapes)}; wanted two of them, got {source!r} and {target!r}."
            )
        found = [described.load(split) for split in ("train", "valid", "test")]
        train, validation, test = [(part[source], part[target]) for part in found]
        return Parallel(train, validation, test, {"multi30k": described.record("train", "valid", "test")})
    if tuple(places) == ("numbers",):
        if source == target or not {source, target} <= _ONES.keys():
            raise UsageError(f"parallel_text: numbers are there in de and en, got {source!r} and {target!r}.")
        rows = torch.randperm(1000, generator=torch.Generator().manual_seed(0)).tolist()
        pairs = [[said(n, language) for n in rows] for language in (source, target)]
        parts = slice(800), slice(800, 900), slice(900, None)
        train, validation, test = [(pairs[0][part], pairs[1][part]) for part in parts]
        return Parallel(train, validation, test, {"numbers": {"split": "all", "samples": 1000, "sha256": {}}})
    raise UsageError(
        f"parallel_text: wanted multi30k, numbers, or two files whose lines translate each other, got {' '.join(places) or 'nothing'}."
    )


def said(number: int, language: str) -> str:
    """A number from 0 to 999 in German or English words, each by itself."""
    ones, tens = _ONES[language], _TENS[language]
    if number >= 100:
        hundred = f"{ones[number // 100]} {'hundert' if language == 'de' else 'hundred'}"
        return f"{hundred} {said(number % 100, language)}" if number % 100 else hundred
    if number < 20:
        return "eins" if (number, language) == (1, "de") else ones[number]
    if not number % 10:
        return tens[number // 10]
    words = tens[number // 10], ones[number % 10]
    return f"{words[1]} und {words[0]}" if language == "de" else " ".join(words)


def _own(source: str, target: str, seed: int) -> Parallel:
    x, y = read_parallel(source, target)
    if len(x) < LEAST:
        raise DataError(f"{source} and {target}: wanted at least {LEAST} pairs of lines, got {len(x)}.")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).tolist()
    held = min(HELD_OUT, -(-len(x) // 20))
    parts = order[2 * held :], order[:held], order[held : 2 * held]
    train, validation, test = [([x[row] for row in part], [y[row] for row in part]) for part in parts]
    checksums = {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (source, target)}
    name = f"{Path(source).name} and {Path(target).name}"
    return Parallel(train, validation, test, {name: {"split": "all", "samples": len(x), "sha256": checksums}})
