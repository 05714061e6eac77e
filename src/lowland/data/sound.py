"""Recordings: a WAV file, or a folder of them with a list of what is said, as waves between −1 and 1 at the rate wanted."""

from __future__ import annotations

import csv
import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import DataError
from .formats import natural, reading

LABELS = "labels.csv"
LONGEST_RATE = 192_000  # samples per second; more is a damaged header


def read_wav(path: str | Path, rate: int) -> Float[Tensor, " T"]:
    """One recording; channels are averaged, and another rate is changed to the one wanted.

    Args:
        path: A WAV file of whole or floating-point numbers.
        rate: Samples per second wanted.

    Raises:
        DataError: It can't be opened, is not a WAV file, is empty, or holds something that is not a number.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}).") from error
    return decode_wav(content, path, rate)


def decode_wav(content: bytes, name: str | Path, rate: int) -> Float[Tensor, " T"]:
    """The same of the content of a file; ``name`` is for errors."""
    from scipy.io import wavfile
    from scipy.signal import resample_poly

    with reading(name, "a WAV file"), warnings.catch_warnings():
        warnings.simplefilter("error", wavfile.WavFileWarning)  # a file that ends too soon
        warnings.filterwarnings("ignore", "Chunk .non-data. not understood", wavfile.WavFileWarning)
        try:
            found, samples = wavfile.read(io.BytesIO(content))
        except wavfile.WavFileWarning as warning:
            raise ValueError(str(warning)) from warning
        if not 0 < found <= LONGEST_RATE:
            raise ValueError(f"{found} samples per second")
        if samples.size == 0:
            raise ValueError("no sample in it")
        wave = _in_units(samples)
        if not np.isfinite(wave).all():
            raise ValueError("a sample that is not a finite number")
        if wave.ndim == 2:
            wave = wave.mean(1)
        if found != rate:
            shared = math.gcd(found, rate)
            wave = resample_poly(wave, rate // shared, found // shared)
    return torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32))


def _in_units(samples: np.ndarray) -> np.ndarray:
    """Whole numbers as fractions of their largest; eight bits are stored from 0 to 255."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    if np.issubdtype(samples.dtype, np.integer):
        return samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
    return samples.astype(np.float64)


def sound_folder(path: str | Path, rate: int) -> dict[str, Any]:
    """Recordings of single words, and who says them: a folder with ``labels.csv``, a line ``file,word,speaker`` for each.

    Returns:
        ``x``, a list of waves; ``y`` and ``speaker``, int64; ``classes`` and ``speakers``, what the numbers stand for.

    Raises:
        DataError: There is no such list, a line has not three fields, names a file that is not there, or a recording is bad.
    """
    listing = Path(path) / LABELS
    with reading(listing, "a list of recordings"):
        lines = list(csv.reader(io.StringIO(listing.read_text("utf-8-sig"))))
    rows = [(number, [field.strip() for field in fields]) for number, fields in enumerate(lines, 1) if any(fields)]
    if rows and rows[0][1][:1] == ["file"]:
        rows = rows[1:]
    wrong = next((number for number, fields in rows if len(fields) != 3 or not all(fields)), None)
    if wrong or not rows:
        raise DataError(f"{listing}, line {wrong or 1}: wanted file,word,speaker.")
    words, speakers = (sorted({fields[i] for _, fields in rows}, key=natural) for i in (1, 2))
    return {
        "x": [read_wav(Path(path) / fields[0], rate) for _, fields in rows],
        "y": torch.tensor([words.index(fields[1]) for _, fields in rows]),
        "speaker": torch.tensor([speakers.index(fields[2]) for _, fields in rows]),
        "classes": tuple(words),
        "speakers": tuple(speakers),
    }
