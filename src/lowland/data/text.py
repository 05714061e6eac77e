"""Text files: lines of UTF-8, and pairs of files whose lines translate each other; and a long text as streams of pieces."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Int64
from torch import Tensor

from ..errors import DataError
from .formats import unzipped


def read_lines(path: Path | str) -> list[str]:
    """The lines of a text, which may be gzipped, without their ends; an empty last one does not count.

    Raises:
        DataError: If the file can't be read, or a line is not UTF-8: the sentence names it.
    """
    content = unzipped(Path(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: wanted UTF-8, got the byte {content[error.start]:#04x}; save the file in that encoding "
            "(iconv -t utf-8 does it)."
        ) from None
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_parallel(source: Path | str, target: Path | str) -> tuple[list[str], list[str]]:
    """The lines of two files, each pair of which says the same in two languages; pairs with an empty side are left out.

    Raises:
        DataError: If the files have different numbers of lines, or no pair in them has words on both sides.
    """
    x, y = read_lines(source), read_lines(target)
    if len(x) != len(y):
        raise DataError(
            f"{source} has {len(x)} lines and {target} has {len(y)}: wanted as many in both, each line the translation of "
            "the other file's at the same place."
        )
    pairs = [(one, other) for one, other in zip(x, y, strict=True) if one.strip() and other.strip()]
    if not pairs:
        raise DataError(f"{source} and {target}: wanted lines with words on both sides, got none.")
    return [one for one, _ in pairs], [other for _, other in pairs]


def streams(text: Int64[Tensor, " L"], count: int, length: int) -> Int64[Tensor, "P T"]:
    """A text as so many streams side by side, in pieces: first the first piece of each, then the second of each. The rest is left out.

    Raises:
        DataError: If it is too short for a piece of each.
    """
    pieces = len(text) // (count * length)
    if not pieces:
        raise DataError(
            f"streams: wanted at least {count * length} symbols, {length} for each of {count} streams, got {len(text)}."
        )
    return text[: pieces * count * length].view(count, pieces, length).transpose(0, 1).flatten(0, 1)
