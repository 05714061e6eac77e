"""The description of a data set: what it is, where it is from, which files it consists of, and how they are read."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .datafile import DataFile, FileState
from .fetch import fetch, locate, obtain

Find = Callable[[str], Path]
"""What a loader is given: the name of a file → the path of its verified copy."""


@dataclass(frozen=True)
class Dataset:
    """One data set, described once, at the top of the module that reads it.

    Args:
        name: The word used everywhere: on the command line, in folders, in the ledger.
        what: What it is, in a sentence or two.
        shapes: The named tensors that `load` gives → their shape, dtype and units.
        splits: Split → number of samples. The first is the default.
        source: Who made it and where these files come from.
        licence: What is stated, or that nothing is.
        citation: The paper to cite.
        loader: ``loader(find, split)`` reads the original files into named tensors.
        files: Its files; none where a dependency ships the data.
        classes: The names of the labels 0 … K−1; empty where there are none.
        embedded: The file inside an installed package that holds the data, where one does.
    """

    name: str
    what: str
    shapes: Mapping[str, str]
    splits: Mapping[str, int]
    source: str
    licence: str
    citation: str
    loader: Callable[[Find, str], dict[str, Any]] = field(repr=False)
    files: tuple[DataFile, ...] = ()
    classes: tuple[str, ...] = ()
    embedded: str = ""

    def load(self, split: str | None = None, download: bool = True) -> dict[str, Any]:
        """The named tensors of a split, from verified files only; what is missing is downloaded where that is possible.

        Raises:
            UsageError: There is no such split.
            DataError: A file is missing, short, foreign, unreadable or cannot be downloaded; the sentence names it.
        """
        split = next(iter(self.splits)) if split is None else split
        if split not in self.splits:
            raise UsageError(f"{self.name}: wanted one of the splits {', '.join(self.splits)}; got {split!r}.")
        files = {file.name: file for file in self.files}
        return self.loader(lambda name: obtain(self.name, files[name], download), split)

    def verify(self) -> list[FileState]:
        """The state of each file on this machine; nothing is downloaded."""
        return [locate(self.name, file) for file in self.files]

    def fetch(self) -> list[FileState]:
        """Download what is missing; the state of each file afterwards."""
        for file in self.files:
            if locate(self.name, file).state == "missing":
                fetch(self.name, file)
        return self.verify()

    @property
    def present(self) -> bool:
        """Whether every file is on this machine and right."""
        return all(state.ok for state in self.verify())

    @property
    def samples(self) -> int:
        """The number of different samples: the splits added up, or "all" where that is one of them."""
        return self.splits.get("all", sum(self.splits.values()))

    @property
    def bytes(self) -> int:
        """The size of the files as they lie on disk, in the edition preferred here."""
        return sum(file.editions[0].bytes for file in self.files)

    def checksums(self) -> dict[str, str]:
        """File name → SHA-256 of what is on this machine: what a result records of its data."""
        if self.embedded:
            with open(_shipped(self.embedded), "rb") as stream:
                return {Path(self.embedded).name: hashlib.file_digest(stream, "sha256").hexdigest()}
        return {state.path.name: state.sha256 for state in self.verify() if state.ok and state.path}

    def record(self, *splits: str) -> dict[str, Any]:
        """What the ledger keeps of these splits: their names, how many samples they have, and the files' checksums."""
        unknown = set(splits) - set(self.splits)
        if not splits or unknown:
            raise UsageError(f"{self.name}: wanted some of the splits {', '.join(self.splits)}; got {splits}.")
        samples = sum(self.splits[split] for split in splits)
        return {"split": " and ".join(splits), "samples": samples, "sha256": self.checksums()}


def _shipped(inside: str) -> Path:
    """The path of a file inside an installed package, without importing the package."""
    package, _, rest = inside.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(f"wanted the package {package}, which holds {inside}; it is not installed.")
    return Path(spec.origin).parent / rest
