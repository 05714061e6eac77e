"""A user's own inputs: image files and folders, arrays and tables, as tensors in the units of the data sets.

Images become float32 in [0, 1], 0 black and 1 white. The digit sets hold ink as 1: ink on paper needs ``invert=True``.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, UsageError
from .formats import natural, open_picture, reading

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".webp"}
FULL_SCALE = {"I": 65535.0, "I;16": 65535.0, "I;16B": 65535.0, "F": 1.0}
"""The value of white in Pillow's modes that are not 8-bit."""


def read_images(
    sources: Iterable[str | Path], size: tuple[int, int] | None = None, channels: int = 1, invert: bool = False
) -> dict[str, Any]:
    """Images from files, folders, arrays, tables or the standard input.

    Args:
        sources: Image files, folders of them (searched to any depth), ``.npy`` arrays of shape ``(N, H, W)``,
            ``(H, W)``, with three channels ``(N, 3, H, W)``, or ``(N, pixels)``; ``.csv`` tables with one image a
            line; ``-`` for one of these on the standard input.
        size: (H, W) in pixels; pictures are resized to it, whatever their proportions. ``None`` keeps the size, which
            must then be the same for all. Arrays must have this size already.
        channels: 1 for grey, 3 for red, green and blue. What is transparent becomes white.
        invert: Exchange black and white.

    Returns:
        ``x``, float32 in [0, 1], ``(N, H, W)`` for one channel or ``(N, 3, H, W)``; ``names``, where each came from.
        Arrays and tables of whole numbers up to 255 are divided by 255 if any exceeds 1.

    Raises:
        DataError: A file is missing, unreadable, not an image, of another size or shape, holds something that is not a
            number or lies out of range; a folder holds no image. The sentence names the file, and the line of a table.
    """
    if channels not in (1, 3):
        raise UsageError(f"read_images: wanted channels 1 (grey) or 3 (RGB), got {channels}.")
    parts, names = [], []
    for source in _files(sources):
        part = _read(source, size, channels)
        if parts and part.shape[-2:] != parts[0].shape[-2:]:
            raise DataError(
                f"{source}: wanted an image of {_by(parts[0].shape[-2:])} pixels like the ones before, "
                f"got {_by(part.shape[-2:])}; give a size that all are brought to."
            )
        parts.append(1 - part if invert else part)
        names += [str(source)] if len(part) == 1 else [f"{source}[{row}]" for row in range(len(part))]
    if not parts:
        raise UsageError("read_images: wanted at least one file, folder or -, got none.")
    return {"x": torch.cat(parts), "names": names}


def image_folder(
    path: str | Path, size: tuple[int, int] | None = None, channels: int = 1, invert: bool = False
) -> dict[str, Any]:
    """Labelled images: a folder with one sub-folder a class.

    Returns:
        ``x`` and ``names`` as from `read_images`; ``y``, int64; ``classes``, the names of the sub-folders in order.

    Raises:
        DataError: There is no such folder, it has no sub-folders, one of them holds no image, or an image is bad.
    """
    root = Path(path)
    classes = tuple(sorted((p.name for p in _entries(root) if p.is_dir() and not p.name.startswith(".")), key=natural))
    if not classes:
        raise DataError(f"{root}: wanted one sub-folder of images for each class; it has no sub-folders.")
    counts = [len(list(_files([root / name]))) for name in classes]
    images = read_images([root / name for name in classes], size, channels, invert)
    return images | {"y": torch.arange(len(classes)).repeat_interleave(torch.tensor(counts)), "classes": classes}


def read_table(source: str | Path, columns: int | None = None) -> dict[str, Any]:
    """A table of numbers from a ``.csv`` or ``.npy`` file, or ``-``: one sample a line, an optional line of headings.

    Args:
        source: The file. Fields are separated by commas, semicolons or tabs, whichever the first line has most of.
        columns: How many numbers a line must have; ``None`` takes that of the first line.

    Returns:
        ``x``, ``(N, columns)`` float32; ``names``, file and line of each sample; ``columns``, the headings or ``()``.

    Raises:
        DataError: A line has more or fewer fields, or one that is not a finite number; the sentence names the line.
    """
    content = _content(source)
    if _kind(source, content) != "array":
        return _table(content, source, columns)
    x = _numbers(content, source)
    if x.ndim != 2 or (columns is not None and x.shape[1] != columns):
        raise DataError(f"{source}: wanted an array of shape (N, {columns or 'columns'}), got {tuple(x.shape)}.")
    return {"x": x, "names": [f"{source}[{row}]" for row in range(len(x))], "columns": ()}


def _table(content: bytes, source: str | Path, columns: int | None) -> dict[str, Any]:
    """`read_table` of the content of a text file."""
    with reading(source, "a text file of numbers"):
        text = content.decode("utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
        lines = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    rows, names, headings = [], [], ()
    for number, fields in lines:
        where = f"{source}, line {number}"
        try:
            row = [float(field) for field in fields]
        except ValueError:
            if not rows and not headings:
                headings, columns = tuple(field.strip() for field in fields), columns or len(fields)
                continue
            raise DataError(f"{where}: wanted {columns} numbers, got {_excerpt(fields)}.") from None
        columns = columns or len(row)
        if len(row) != columns:
            raise DataError(f"{where}: wanted {columns} numbers, got {len(row)}.")
        if not all(map(math.isfinite, row)):
            raise DataError(f"{where}: wanted finite numbers, got {_excerpt(fields)}.")
        rows.append(row)
        names.append(where)
    if not rows:
        raise DataError(f"{source}: wanted at least one line of numbers; there is none.")
    return {"x": torch.tensor(rows), "names": names, "columns": headings}


def _files(sources: Iterable[str | Path]) -> Iterable[str | Path]:
    """The sources with each folder replaced by the images in it, in natural order."""
    for source in sources:
        if str(source) == "-" or not Path(source).is_dir():
            yield source
            continue
        inside = [p for p in Path(source).rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        if not inside:
            raise DataError(f"{source}: wanted a folder with images ({', '.join(sorted(SUFFIXES))}); it holds none.")
        yield from sorted(inside, key=lambda path: natural(str(path)))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: wanted a folder; it cannot be listed ({error.strerror}).") from error


def _content(source: str | Path) -> bytes:
    if str(source) == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise DataError(f"{source}: cannot be opened ({error.strerror}).") from error


def _kind(source: str | Path, content: bytes) -> str:
    """Files say by their names what they hold; the standard input only by its first bytes."""
    if str(source) == "-":
        if content.startswith(b"\x93NUMPY"):
            return "array"
        binary = b"\0" in content[:64] or content[:1] > b"\x7f" or re.match(rb"P[1-7]\s", content)
        return "picture" if binary else "table"
    return {".npy": "array", ".csv": "table", ".tsv": "table", ".txt": "table"}.get(
        Path(source).suffix.lower(), "picture"
    )


def _read(source: str | Path, size: tuple[int, int] | None, channels: int) -> Tensor:
    """The images of one file, ``(N, H, W)`` or ``(N, 3, H, W)``."""
    content = _content(source)
    kind = _kind(source, content)
    if kind == "picture":
        with reading(source, "a picture (PNG, JPEG, BMP, PGM, TIFF …)"):
            return _pixels(open_picture(content), size, channels)[None]
    if kind == "array":
        return _shaped(_scaled(_numbers(content, source), source), source, size, channels)
    if size is None:
        raise UsageError(f"{source}: a table does not say how wide its images are; give their size.")
    table = _table(content, source, channels * math.prod(size))
    return _shaped(_scaled(table["x"], source), source, size, channels)


def _pixels(picture: Any, size: tuple[int, int] | None, channels: int) -> Tensor:
    """A decoded picture as ``(H, W)`` or ``(3, H, W)``."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode in FULL_SCALE:
        array = np.asarray(picture, dtype=np.float32) / FULL_SCALE[picture.mode]
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"values from {array.min():g} to {array.max():g} where white is 1")
        picture = Image.fromarray(array)
        if size is not None:
            picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(picture))
        return x if channels == 1 else x.expand(3, *x.shape)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if size is not None:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(picture)).float() / 255
    return x if channels == 1 else x.permute(2, 0, 1)


def _numbers(content: bytes, source: str | Path) -> Tensor:
    """The array of a ``.npy`` file; nothing is ever unpickled."""
    with reading(source, "a .npy array of numbers"):
        array = np.load(io.BytesIO(content), allow_pickle=False)
        x = torch.from_numpy(array.astype(np.float32))
    if not x.isfinite().all():
        row = (~x.isfinite()).nonzero()[0].tolist()
        raise DataError(f"{source}: wanted finite numbers, got {x[tuple(row)].item()} at index {row}.")
    return x


def _scaled(x: Tensor, source: str | Path) -> Tensor:
    """Numbers in [0, 1], dividing by 255 what is clearly a table of bytes."""
    if x.numel() and x.max() > 1 and x.max() <= 255 and bool((x == x.round()).all()):
        x = x / 255
    if x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise DataError(
            f"{source}: wanted pixels from 0 to 1, or whole numbers from 0 to 255; "
            f"got numbers from {x.min().item():g} to {x.max().item():g}."
        )
    return x


def _shaped(x: Tensor, source: str | Path, size: tuple[int, int] | None, channels: int) -> Tensor:
    """An array as images: a single one gets its batch dimension, flat ones their height and width."""
    colours = () if channels == 1 else (channels,)
    if size is not None and x.ndim == 2 and x.shape[1] == channels * math.prod(size) and x.shape != size:
        return x.reshape(-1, *colours, *size)
    images = x[None] if x.ndim == 2 + len(colours) else x
    fits = images.ndim == 3 + len(colours) and images.shape[1:-2] == colours and size in (None, images.shape[-2:])
    if not fits:
        wanted = ", ".join(map(str, ("N", *colours, *(size or ("H", "W")))))
        raise DataError(f"{source}: wanted an array of shape ({wanted}), got {tuple(x.shape)}.")
    return images


def _by(size: Iterable[int]) -> str:
    return "×".join(map(str, size))


def _excerpt(fields: list[str]) -> str:
    """The first field that is not a finite number, with its column."""
    for column, text in enumerate(fields, 1):
        try:
            good = math.isfinite(float(text))
        except ValueError:
            good = False
        if not good:
            return f"{text.strip()!r} in column {column}"
    return repr(",".join(fields)[:60])
