"""Word error: how many words must be put in, left out or exchanged to turn what was read into what was said.

It has no slope to follow, so it judges and does not train.

Source: Wagner & Fischer, Journal of the ACM 21 (1974).
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from ..errors import UsageError


def edit_distance(got: Int64[Tensor, "N A"], wanted: Int64[Tensor, "N B"]) -> Int64[Tensor, " N"]:
    """The fewest insertions, deletions and substitutions between two sequences of symbols, −1 after the end of each."""
    sizes, lengths = (got >= 0).sum(1), (wanted >= 0).sum(1, keepdim=True)
    width = wanted.shape[1]
    row = torch.arange(width + 1, device=got.device).expand(
        len(got), -1
    )  # from nothing to each beginning of what is wanted
    found = row.gather(1, lengths)[:, 0]
    for read, symbol in enumerate(got.unbind(1), 1):
        changed = row[:, :-1] + (symbol[:, None] != wanted)
        best = torch.minimum(row[:, 1:] + 1, changed)
        best = torch.cat([torch.full_like(row[:, :1], read), best], 1)
        # one more symbol put in at each place: min over i ≤ j of best_i + (j − i)
        place = torch.arange(width + 1, device=got.device)
        row = (best - place).cummin(1).values + place
        found = torch.where(sizes == read, row.gather(1, lengths)[:, 0], found)
    return found


def word_error(got: Int64[Tensor, "N A"], wanted: Int64[Tensor, "N B"]) -> float:
    """Edits for each word that was said, as a fraction; may exceed 1.

    Raises:
        UsageError: If no word was said.
    """
    said = int((wanted >= 0).sum())
    if said == 0:
        raise UsageError("word_error: wanted at least one word that was said, got none.")
    return int(edit_distance(got, wanted).sum()) / said
