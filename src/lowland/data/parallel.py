"""Parallel text: sentences and their translations, split for learning, tuning and judging."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import DataError, UsageError
from ..spaces import NOTHING
from .registry import dataset
from .text import read_parallel
from .tokenizer import Tokenizer

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


class Spelt(NamedTuple):
    """Parallel text as symbols.

    Attributes:
        splits: By split, ``x`` and ``y``: ``(N, longest)`` each, −1 after the end.
        texts: By split, the sentences themselves, the source first.
        tokenizers: How the source and the target are spelt.
    """

    splits: dict[str, dict[str, Tensor]]
    texts: dict[str, Pairs]
    tokenizers: tuple[Tokenizer, Tokenizer]


def spelt(text: Parallel, kind: str, size: int, longest: int) -> Spelt:
    """Sentences as symbols that are learnt, for each language by itself, on what there is to learn from; a symbol occurs twice at least.

    Args:
        text: The sentences.
        kind: See `Tokenizer.learn`.
        size: At most so many symbols in each language.
        longest: Pairs of which a side has more symbols are left out.

    Raises:
        DataError: If that leaves no pair of a split.
    """
    source, target = (Tokenizer.learn(side, kind, size, 2) for side in text.train)
    splits, texts = {}, {}
    for name in ("train", "validation", "test"):
        sides: Pairs = getattr(text, name)
        values = dict(zip("xy", (source.encode(sides[0]), target.encode(sides[1])), strict=True))
        fits = torch.stack([(value != NOTHING).sum(1) <= longest for value in values.values()]).all(0)
        if not bool(fits.any()):
            raise DataError(f"There is no pair of at most {longest} symbols to {name} on; give a larger --longest.")
        splits[name] = {
            variable: pad(value[fits], (0, longest - value.shape[1]), value=NOTHING)
            for variable, value in values.items()
        }
        texts[name] = tuple([line for line, fit in zip(side, fits.tolist(), strict=True) if fit] for side in sides)
    return Spelt(splits, texts, (source, target))


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
