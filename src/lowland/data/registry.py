"""Every data set there is, found by walking this package: one module, one source, one `Dataset`."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from ..errors import UsageError
from .datafile import FileState
from .dataset import Dataset


@cache
def datasets() -> dict[str, Dataset]:
    """Name → description, in alphabetical order."""
    package = importlib.import_module(__package__ or "lowland.data")
    modules = (importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found = [thing for module in modules for thing in vars(module).values() if isinstance(thing, Dataset)]
    return {dataset.name: dataset for dataset in sorted(found, key=lambda dataset: dataset.name)}


def dataset(name: str) -> Dataset:
    """The description of one data set.

    Raises:
        UsageError: There is none of that name.
    """
    known = datasets()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"data: wanted one of {', '.join(known)}; got {name!r}.{guess}")
    return known[name]


def load(name: str, split: str | None = None, download: bool = True) -> dict[str, Any]:
    """The named tensors of a split: ``load("mnist", "train")["x"]`` is ``(60000, 28, 28)`` float32 in [0, 1].

    The description's `shapes` says what is in the dictionary; `splits` which splits there are, default first. Values
    are tensors, or lists of tensors where the samples differ in size.
    """
    return dataset(name).load(split, download)


def verify(name: str) -> list[FileState]:
    """The state of each file of a data set on this machine."""
    return dataset(name).verify()


@dataclass(frozen=True)
class Row:
    """One line of the list of data sets."""

    name: str
    samples: int
    bytes: int
    present: bool
    what: str


def listing() -> list[Row]:
    """What ``lowland data`` shows; a set counts as present when all its files are there and right."""
    return [Row(d.name, d.samples, d.bytes, d.present, d.what) for d in datasets().values()]


def describe(name: str, fetch: bool = True) -> dict[str, Any]:
    """What ``lowland data NAME`` shows, ready for JSON: the description and the state of each file.

    Args:
        name: The data set.
        fetch: Whether to download first what is missing.

    Raises:
        DataError: A missing file could not be fetched.
    """
    found = dataset(name)
    states = found.fetch() if fetch else found.verify()
    words = ("name", "what", "source", "licence", "citation", "samples", "bytes")
    files = [asdict(state) | {"path": str(state.path) if state.path else None} for state in states]
    return {word: getattr(found, word) for word in words} | {
        "shapes": dict(found.shapes),
        "splits": dict(found.splits),
        "files": files,
    }
