"""The file formats that several data sets use, read whole or not at all.

Each reader raises a `DataError` that names the file: a short, foreign or damaged file never yields part of the data.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

DAMAGE = (
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, SyntaxError,
    NotImplementedError, csv.Error, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What the decoders raise for bytes they cannot make sense of."""


@contextmanager
def reading(path: Path | str, wanted: str) -> Iterator[None]:
    """Turn any decoding error inside the block into a sentence: which file, what it should be, what went wrong."""
    try:
        yield
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: wanted {wanted}; it cannot be read as one ({reason}).") from error


def unzipped(path: Path) -> bytes:
    """The content of a gzip file, or of a file that was never compressed, whatever its name says."""
    with reading(path, "a whole gzip file"):
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def read_idx(path: Path) -> Tensor:
    """An array in the IDX format of MNIST: 00 00, type 08 (unsigned byte), rank, then each dimension, big-endian.

    Returns:
        uint8, of the shape that the header gives.

    Raises:
        DataError: The file is not IDX, or holds fewer or more bytes than its header promises.
    """
    content = unzipped(path)
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(
            f"{path}: wanted an IDX file of bytes, which begins with 00 00 08; got {content[:3].hex(' ')!r}."
        )
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if len(content) != start + math.prod(shape):
        raise DataError(
            f"{path}: its header promises {'×'.join(map(str, shape))} bytes of data; {len(content) - start:,} follow."
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).reshape(shape)


def read_members(path: Path, suffix: str) -> dict[str, bytes]:
    """The members of a zip archive whose names end in `suffix`, in natural order: ``2.pgm`` before ``10.pgm``."""
    with reading(path, "a whole zip archive"), zipfile.ZipFile(path) as archive:
        names = sorted((name for name in archive.namelist() if name.lower().endswith(suffix)), key=natural)
        members = {name: archive.read(name) for name in names}
    if not members:
        raise DataError(f"{path}: wanted a zip archive with members that end in {suffix}; it has none.")
    return members


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which numbers inside names count as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def read_picture(content: bytes, name: str) -> Tensor:
    """One 8-bit picture, as it is stored: ``(H, W)`` or ``(H, W, C)`` uint8."""
    with reading(name, "an 8-bit picture"):
        return torch.from_numpy(np.array(open_picture(content), dtype=np.uint8))


def open_picture(content: bytes) -> Any:
    """A decoded `PIL.Image.Image`, of any format that Pillow knows.

    Raises:
        ValueError: These bytes are not a whole picture, or one so large that it looks like an attack.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about metadata; damaged pixels are errors
            picture = Image.open(io.BytesIO(content))
            picture.load()
    except UnidentifiedImageError as error:  # its own message shows a memory address
        raise ValueError("it is empty" if not content else "no picture format begins like it") from error
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    return picture


def read_mat(content: bytes, name: str) -> Mapping[str, Any]:
    """The variables of a MATLAB file (version 5 to 7.2)."""
    import scipy.io

    with reading(name, "a MATLAB file"):
        try:
            return scipy.io.loadmat(io.BytesIO(content))
        except scipy.io.matlab.MatReadError as error:
            raise ValueError(str(error)) from error
