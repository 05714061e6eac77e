"""One file of a data set: which bytes are wanted, and whether they are the bytes that lie on this disk."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BEGINNINGS = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89HDF": "an HDF5 file",
    b"MATLAB": "a MATLAB file",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a Git LFS pointer",
}


@dataclass(frozen=True)
class Edition:
    """One exact sequence of bytes that a file may consist of; the same content is often wrapped in several ways.

    Args:
        bytes: Its length.
        sha256: Its checksum, 64 hexadecimal digits.
        urls: Where exactly these bytes are offered, best first; empty where no such place is known.
        name: Its own file name, where that differs from the file's (``adult.data`` for ``adult.data.gz``).
    """

    bytes: int
    sha256: str
    urls: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class DataFile:
    """A file of a data set, by its path inside the data set's folder, in any of its editions.

    Any edition is accepted when it is found; the first one that has a URL is the one that is downloaded.
    """

    name: str
    editions: tuple[Edition, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The file names under which an edition may lie, without repetitions."""
        return tuple(dict.fromkeys(edition.name or self.name for edition in self.editions))

    def accepted(self, path: Path) -> tuple[Edition, ...]:
        """The editions that may lie under this file name."""
        return tuple(edition for edition in self.editions if (edition.name or self.name) == path.name)


@dataclass(frozen=True)
class FileState:
    """What was found of one file: `state` is "ok", "missing", "wrong size", "wrong checksum" or "unreadable"."""

    name: str
    state: str
    path: Path | None = None
    detail: str = ""
    sha256: str = ""

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def check(file: DataFile, path: Path) -> FileState:
    """Compare the size and SHA-256 of the file at `path` with the editions; a checksum is computed once a process."""
    editions = file.accepted(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return FileState(file.name, "unreadable", path, "it is not a regular file")
        if status.st_size not in {edition.bytes for edition in editions}:
            wanted = " or ".join(f"{edition.bytes:,}" for edition in editions)
            detail = f"it {_contents(path, status.st_size)}; {wanted} bytes are wanted"
            return FileState(file.name, "wrong size", path, detail)
        digest = _sha256(path, status.st_mtime_ns, status.st_size)
        if digest not in {edition.sha256 for edition in editions}:
            wanted = " or ".join(edition.sha256 for edition in editions)
            detail = f"it {_contents(path, status.st_size)} and its SHA-256 is {digest}, not {wanted}"
            return FileState(file.name, "wrong checksum", path, detail)
    except OSError as error:
        return FileState(file.name, "unreadable", path, f"the system says: {error.strerror or error}")
    return FileState(file.name, "ok", path, sha256=digest)


@cache
def _sha256(path: Path, modified: int, size: int) -> str:
    """The checksum; `modified` (ns) and `size` only tell the cache when the file has changed."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _contents(path: Path, size: int) -> str:
    """What a person would see in the file, for the error: a download that failed often left a web page behind."""
    if size == 0:
        return "is empty"
    with open(path, "rb") as stream:
        start = stream.read(32)
    kinds = (kind for magic, kind in BEGINNINGS.items() if start.lstrip().lower().startswith(magic.lower()))
    kind = next(kinds, None)
    return f"holds {size:,} bytes" + (f" that begin like {kind}" if kind else "")
