"""Arrays of numbers in a Python pickle, read without running anything that the file names.

A pickle is a program: whoever reads one in the ordinary way runs it. Here the names by which NumPy writes an array stand for
inert records of what was written, any other name is an error, and the arrays are made afterwards from checked records.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from .formats import reading

NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


def read_pickled(content: bytes, name: str | Path) -> Any:
    """Dictionaries, lists, tuples, numbers, text and arrays of numbers, as pickled by Python 2 or 3, protocols 0 to 4.

    Args:
        content: The pickle.
        name: What to call it in an error.

    Returns:
        Text of Python 2 as str, one character for each byte.

    Raises:
        DataError: It is damaged, or names anything but arrays of numbers.
    """
    with reading(name, "a pickle of arrays of numbers"):
        try:
            return _finished(_Reader(io.BytesIO(content), encoding="latin1").load())
        except (pickle.UnpicklingError, AttributeError, ImportError, OverflowError, MemoryError) as error:
            raise ValueError(str(error)) from error


class _Kind:
    """A number format as written: its name, then the order of its bytes."""

    def __init__(self, name: str, *_: Any) -> None:
        if name not in NUMBERS:
            raise ValueError(f"an array of {name!r}, not of numbers")
        self.name, self.order = name, "="

    def __setstate__(self, state: Any) -> None:
        _, self.order, *_ = state
        if self.order not in ("<", ">", "|", "="):
            raise ValueError(f"an order of bytes {self.order!r}")


class _Array:
    """An array as written."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def made(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5 or not isinstance(self.state[2], _Kind):
            raise ValueError("an array that was not written whole")
        _, shape, kind, by_columns, raw = self.state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        flat = np.frombuffer(raw, dtype=np.dtype(kind.order + kind.name)).copy()
        if not all(isinstance(size, int) and size >= 0 for size in shape) or math.prod(shape) != len(flat):
            raise ValueError(f"an array of shape {shape} with {len(flat)} numbers")
        return flat.reshape(shape, order="F" if by_columns else "C")


def _bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


KNOWN = {
    ("_codecs", "encode"): _bytes,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return KNOWN[module, name]


def _finished(value: Any) -> Any:
    """The same with arrays in place of their records."""
    if isinstance(value, _Array):
        return value.made()
    if isinstance(value, dict):
        return {key: _finished(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_finished, value))
    return value
