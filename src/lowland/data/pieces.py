"""Words and texts as bags of pieces, by hashing: letters that stand together, words that follow each other.

Sources: Bojanowski, Grave, Joulin & Mikolov, TACL 5 (2017), section 3.2, for the parts of words; Joulin, Grave, Bojanowski & Mikolov,
EACL 2017, for texts; Weinberger et al., ICML 2009, for the hashing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Int64
from torch import Tensor

from ..spaces import NOTHING
from .tokenizer import Tokenizer

#: Pieces of a word, and of a text, at most.
LONGEST_WORD, LONGEST_TEXT = 40, 60


def letter_pieces(word: str, buckets: int) -> list[int]:
    """Which of so many vectors the parts of a word have: its runs of three to five letters, its ends among them."""
    ended = f"<{word}>"
    grams = {ended[i : i + n] for n in (3, 4, 5) for i in range(len(ended) - n + 1)} - {ended}
    return [zlib.crc32(gram.encode()) % buckets for gram in sorted(grams)]


def word_pieces(words: Sequence[str], tokenizer: Tokenizer, buckets: int) -> Int64[Tensor, "N P"]:
    """What words are written with: first themselves, where the tokenizer knows them, then V + their parts; −1 after that."""
    rows = []
    for word in words:
        own = tokenizer.index(word)
        rows.append([] if own is None else [own])
        rows[-1] += [tokenizer.vocabulary + part for part in letter_pieces(word, buckets)]
    return _padded(rows, LONGEST_WORD)


def text_pieces(texts: Sequence[str], buckets: int, pairs: bool = True) -> Int64[Tensor, "N P"]:
    """The words of each text, and with ``pairs`` those that follow each other; −1 after that."""
    rows = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        both = [f"{one} {other}" for one, other in pairwise(words)] if pairs else []
        rows.append([zlib.crc32(piece.encode()) % buckets for piece in words + both])
    return _padded(rows, LONGEST_TEXT)


def _padded(rows: list[list[int]], longest: int) -> Tensor:
    table = torch.full((len(rows), longest), NOTHING)
    for row, found in zip(table, rows, strict=True):
        row[: len(found)] = torch.tensor(found[:longest], dtype=torch.int64)
    return table
