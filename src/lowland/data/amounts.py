"""Handwritten amounts with what they say: a data set, a user's own folder, or strings written with the embedded digits."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DataError, UsageError
from .field import Field, normalise_field
from .files import read_images
from .labelled import EMBEDDED, labelled_images
from .lines import Lines, compose_lines, gather_lines
from .registry import dataset
from .segmentation import cut_line

LABELS = "labels.csv"


class Amounts(NamedTuple):
    """Lines of writing, normalised.

    Attributes:
        lines: The lines; `spans` are 0 where nobody marked the digits.
        marked: Whether the digits' spans are known.
        sources: What was read, as a result records it.
    """

    lines: Lines
    marked: bool
    sources: dict[str, dict[str, Any]]


def labelled_amounts(source: str, widest: int, count: int = 60, seed: int = 0) -> Amounts:
    """Amounts with what they say.

    Args:
        source: ``orand_car_a``; ``digits`` (written with the digits that scikit-learn embeds); or a folder of images, dark ink on
            light paper, with a table ``labels.csv`` in it: a line ``image.png,12500`` for each (what is no digit is left out).
        widest: The widest line that can be read, in normalised columns.
        count: How many lines are written with the embedded digits.
        seed: Draws them.

    Raises:
        UsageError: For a source that is none of these.
        DataError: If a file is missing or bad, has no ink, is too wide, or its amount has no digit.
    """
    if source == EMBEDDED:
        found = labelled_images(EMBEDDED)
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(1, 5, (count, 1), generator=generator)
        y = torch.where(torch.arange(4) < lengths, torch.randint(10, (count, 4), generator=generator), -1)
        return Amounts(compose_lines(found.train["x"], found.train["y"], y, generator), True, found.sources)
    if source == "orand_car_a":
        described = dataset(source)
        loaded = described.load("all")
        fields = _fields(loaded["x"], loaded["names"], widest)
        spans = [field.spans(boxes) for field, boxes in zip(fields, loaded["boxes"], strict=True)]
        return Amounts(_gathered(fields, spans, loaded["y"]), True, {source: described.record("all")})
    if not Path(source).is_dir():
        raise UsageError(
            f"labelled_amounts: wanted orand_car_a, {EMBEDDED} or a folder of images with a {LABELS}, got {source!r}."
        )
    names, y = _table(Path(source))
    fields = read_fields(names, widest)
    for field, name, digits in zip(fields, names, y, strict=True):
        if len(digits) > (pieces := len(cut_line(field.strokes)) - 1):
            raise DataError(
                f"{name}: wanted at most a digit for each of its {pieces} pieces, got {len(digits)} in {LABELS}."
            )
    spans = [torch.zeros(len(digits), 2) for digits in y]
    sources = {Path(source).name: {"split": "all", "samples": len(names), "sha256": {}}}
    return Amounts(_gathered(fields, spans, y), False, sources)


def read_fields(paths: Sequence[str], widest: int) -> list[Field]:
    """Normalised lines from image files: dark ink on light paper.

    Raises:
        DataError: A file can't be read, has no ink, or is too wide a line.
    """
    pictures = [(read_images([path]), path) for path in paths]
    each = [(picture, name) for read, _ in pictures for picture, name in zip(read["x"], read["names"], strict=True)]
    return _fields([picture for picture, _ in each], [name for _, name in each], widest)


def _fields(pictures: Sequence[Tensor], names: Sequence[str], widest: int) -> list[Field]:
    fields = [normalise_field(picture, name) for picture, name in zip(pictures, names, strict=True)]
    for field, name in zip(fields, names, strict=True):
        if field.ink.shape[1] > widest:
            raise DataError(
                f"{name}: wanted a line of writing at most {widest / field.ink.shape[0]:.1f} times as wide as it is high; it takes "
                f"{field.ink.shape[1]} columns of the lattice, which has {widest}. Cut away what is not the amount."
            )
    return fields


def _gathered(fields: Sequence[Field], spans: Sequence[Tensor], y: Sequence[Tensor]) -> Lines:
    return gather_lines([field.ink for field in fields], [field.strokes for field in fields], list(spans), list(y))


def _table(folder: Path) -> tuple[list[str], list[Tensor]]:
    """The images that the table names, and the digits of their amounts."""
    path = folder / LABELS
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; wanted a table with a line image.png,12500 for each image.")
    names, amounts = [], []
    with path.open(newline="", encoding="utf-8") as stream:
        for number, row in enumerate(csv.reader(stream), 1):
            if not row or (number == 1 and not any(map(str.isdigit, ",".join(row[1:])))):
                continue  # an empty line, or headings
            digits = [int(letter) for letter in row[1] if letter in "0123456789"] if len(row) == 2 else []
            if not digits:
                raise DataError(
                    f"{path}:{number}: wanted a line like image.png,12500 with a digit at least, got {','.join(row)!r}."
                )
            names.append(str(folder / row[0]))
            amounts.append(torch.tensor(digits))
    if not names:
        raise DataError(f"{path}: wanted a line image.png,12500 for each image; it has none.")
    return names, amounts
