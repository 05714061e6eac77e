"""Finding a data file: the folder that LOWLAND_DATA names, then the user's cache, then a download.

Both folders are laid out as ``<dataset>/<file>``. A download goes to the cache by pooch; what has arrived of an
interrupted one stays beside its place as ``<file>.part`` and the next attempt continues there. Nothing takes its final
name before its SHA-256 was found right.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition, FileState, check

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SECONDS = (10, 60)  # to connect, and between two pieces


def cache_folder() -> Path:
    """Where downloads are kept: the platform's cache folder, ``~/.cache/lowland`` on Linux."""
    import pooch

    return Path(pooch.os_cache("lowland"))


def folders() -> Iterator[Path]:
    """The folders that are searched, first one first."""
    if named := os.environ.get("LOWLAND_DATA"):
        yield Path(named).expanduser()
    yield cache_folder()


def locate(dataset: str, file: DataFile) -> FileState:
    """Look for `file` and check what is found; the first that is there counts, right or wrong."""
    for folder in folders():
        for name in file.names:
            path = folder / dataset / name
            if os.path.lexists(path):
                return check(file, path)
    return FileState(file.name, "missing")


def obtain(dataset: str, file: DataFile, download: bool = True) -> Path:
    """The path of a verified copy of `file`, downloaded if need be.

    Raises:
        DataError: It is missing and cannot be downloaded, or what lies there is not the file wanted.
    """
    found = locate(dataset, file)
    if found.state == "missing" and download:
        return fetch(dataset, file)
    if found.path is None:
        raise DataError(f"{dataset}: {file.name} is not on this machine. {_by_hand(dataset, file)}")
    if not found.ok:
        raise DataError(
            f"{dataset}: {found.path} cannot be used ({found.state}): {found.detail}. "
            f"Replace it, or delete it and run 'lowland data {dataset}' to fetch it again."
        )
    return found.path


def fetch(dataset: str, file: DataFile) -> Path:
    """Download `file` into the cache: resumable, checksummed, with a progress bar on a terminal.

    Raises:
        DataError: No URL is known, every URL failed or served other bytes, or the disk is full or closed to us.
    """
    edition = next((edition for edition in file.editions if edition.urls), None)
    if edition is None:
        raise DataError(
            f"{dataset}: {file.name} is not on this machine, and no public address is known that serves exactly "
            f"this file. {_by_hand(dataset, file)}"
        )
    target = cache_folder() / dataset / (edition.name or file.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return _download(dataset, file, edition, target)
    except OSError as error:
        raise DataError(_disk(dataset, target, error)) from error


def _download(dataset: str, file: DataFile, edition: Edition, target: Path) -> Path:
    """Try each URL in turn, and the first once more where a left-over part turned out to belong to other bytes."""
    import pooch
    from filelock import FileLock

    partial = target.with_name(target.name + ".part")
    failures = []
    with FileLock(target.with_name(target.name + ".lock")):  # several processes of one run may ask at once
        if check(file, target).ok:
            return target
        urls = edition.urls + (edition.urls[:1] if partial.exists() else ())
        downloader: Any = Resuming(partial)
        for url in urls:
            try:
                pooch.retrieve(url, f"sha256:{edition.sha256}", target.name, target.parent, downloader=downloader)
                return target
            except ConnectionError as error:
                failures.append(f"{url} ({error})")
            except ValueError:
                failures.append(f"{url} (served other bytes: the SHA-256 differs)")
    raise DataError(
        f"{dataset}: {file.name} could not be downloaded from {'; '.join(failures)}. {_by_hand(dataset, file)}"
    )


class Resuming:
    """A downloader for pooch that writes to `partial` and continues where an earlier attempt stopped."""

    def __init__(self, partial: Path) -> None:
        self.partial = partial

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Raises ConnectionError when the network fails, and OSError when the disk does."""
        import requests
        from tqdm import tqdm

        have = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.get(url, stream=True, timeout=SECONDS, headers=headers) as reply:
                if reply.status_code != requests.codes.requested_range_not_satisfiable:  # else nothing was left to send
                    reply.raise_for_status()
                    have = have if reply.status_code == requests.codes.partial_content else 0
                    total = have + int(reply.headers.get("Content-Length", 0)) or None
                    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=Path(url).name, disable=None)
                    with open(self.partial, "ab" if have else "wb") as out, bar:
                        for piece in reply.iter_content(1 << 16):
                            out.write(piece)
                            bar.update(len(piece))
        except requests.RequestException as error:
            raise ConnectionError(_reason(error)) from error
        os.replace(self.partial, output_file)


def _reason(error: Exception) -> str:
    """A network error in a few words: requests nests them deeply."""
    reply = getattr(error, "response", None)
    return f"HTTP status {reply.status_code}" if reply is not None else type(error).__name__


def _by_hand(dataset: str, file: DataFile) -> str:
    """What a person can do about a missing file."""
    places = " or ".join(str(folder / dataset) for folder in folders())
    wanted = " or ".join(f"{e.name or file.name} of {e.bytes:,} bytes with SHA-256 {e.sha256}" for e in file.editions)
    return f"Put it into {places}: {wanted}. LOWLAND_DATA names a folder that is searched first."


def _disk(dataset: str, target: Path, error: OSError) -> str:
    """The sentence for a disk that does not take the file."""
    if error.errno in FULL:
        return (
            f"{dataset}: no room for {target.name} in {target.parent} ({error.strerror}). What came is kept as "
            f"{target.name}.part and the download continues there once there is room; or let LOWLAND_DATA name a "
            f"folder on another disk that has the file."
        )
    return (
        f"{dataset}: cannot write {target} ({error.strerror or error}). Let LOWLAND_DATA name a folder that has the "
        f"file, or XDG_CACHE_HOME one that may be written."
    )
