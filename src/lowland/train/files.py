"""Files that are either whole or not there: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from ..errors import CheckpointError


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Put a new file at ``path``: a reader, or a machine that loses power, sees the old one or the new one whole.

    Args:
        path: Where the file will be; its folder is made.
        write: Writes the file under the temporary name it is given.

    Raises:
        CheckpointError: If the disk is full or may not be written; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        temporary.chmod(0o666 & ~_mask())  # safetensors makes files that only their owner may read
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        _forget(temporary)
        raise CheckpointError(
            f"{path}: could not be written, {reason(error)}; what was there before is kept."
        ) from error
    except BaseException:
        _forget(temporary)
        raise


def replace_text(path: Path, text: str) -> None:
    """`replace` with a text."""
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def reason(error: Exception) -> str:
    """What the operating system said, with what to do where that is known."""
    told = re.search(r"os error (\d+)", str(error))  # how safetensors passes it on
    number = int(told[1]) if told else getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"the disk is full or a quota is reached ({os.strerror(number)}): free some space or choose another --out"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"it may not be written ({os.strerror(number)}): choose another --out"
    return (os.strerror(number) if number else str(error)).rstrip(".")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):  # where its folder is no folder it was never there
        path.unlink()


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
