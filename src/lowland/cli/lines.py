"""Text, line by line: what a system answers to each line, as the lines come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, LowlandError, UsageError

if TYPE_CHECKING:
    from ..train import Model

#: Lines that are answered together, if so many are there.
TOGETHER = 32

Lines = Sequence[tuple[int, str]]  # numbers, from 1, and texts


def answer(model: Model, options: Any, draw: Callable[[list[Any], list[str], Path], Any]) -> None:
    """Print the answer to each line of the inputs: one line for each, and an empty one for an empty one; with ``--json`` an object.

    Raises:
        DataError: If a line is not UTF-8, or can't be read by the model: the sentence names it. Lines before it have been answered.
        UsageError: For options that lines have no use for.
    """
    for option in ("hide", "samples", "given", "invert"):
        if getattr(options, option):
            raise UsageError(f"--{option}: {model.system.name} reads lines of text; leave --{option} out.")
    if options.unknown not in (None, model.system.unknown):
        raise UsageError(f"--unknown {options.unknown}: of a line of text {model.system.unknown} is what can be told.")
    for path in options.inputs:
        for lines in _groups(path):
            _answer(model, "standard input" if path == "-" else path, lines, options, draw)


def _answer(model: Model, where: str, lines: Lines, options: Any, draw: Any) -> None:
    told: Iterator[tuple[str, float]] = iter(())
    if asked := [(number, text) for number, text in lines if text.strip()]:
        try:
            known = model.system.lines(model.energy, [text for _, text in asked])  # type: ignore[misc]
        except LowlandError as error:
            if len(lines) == 1:
                raise DataError(f"{where}, line {lines[0][0]}: {error}") from None
            for line in lines:  # those before it have an answer
                _answer(model, where, [line], options, draw)
            return
        known = {name: value.to(options.device) for name, value in known.items()}
        solution = model.infer(None, **known)
        told = zip(model.system.tell(model.energy, known, solution), solution.energy.tolist(), strict=True)  # type: ignore[misc]
        if options.out and model.system.draw is not None:
            drawings = model.system.draw(model.energy, known, solution)
            draw(drawings, [f"line {number}" for number, _ in asked][: len(drawings)], Path(options.out))
    for number, text in lines:
        said, energy = next(told) if text.strip() else ("", None)
        if options.json:
            said = json.dumps({"line": number, "input": text, "text": said, "energy": energy}, ensure_ascii=False)
        print(said, flush=True)


def _groups(path: str) -> Iterator[Lines]:
    """A few lines at a time: of standard input those that have come."""
    from ..data import read_lines

    if path != "-":
        yield from _few(enumerate(read_lines(path), 1))
        return
    numbers, left = count(1), b""
    while piece := sys.stdin.buffer.read1(1 << 16):  # type: ignore[attr-defined]
        *whole, left = (left + piece).split(b"\n")
        yield from _few(_decoded(next(numbers), line) for line in whole)
    if left:
        yield [_decoded(next(numbers), left)]


def _few(lines: Iterable[tuple[int, str]]) -> Iterator[Lines]:
    rest = iter(lines)
    while group := list(islice(rest, TOGETHER)):
        yield group


def _decoded(number: int, line: bytes) -> tuple[int, str]:
    try:
        return number, line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"standard input, line {number}: wanted UTF-8, got the byte {line[error.start]:#04x} (iconv -t utf-8 mends it)."
        ) from None
