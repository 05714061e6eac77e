"""Over-segmentation: where a line of writing may be cut, often enough that the true cuts are among them.

Cuts are upright. The best places have least ink above and below; wide gaps are cut at both ends, so that what lies between is
a piece of its own; and nowhere are two cuts further apart than `most`, so that touching digits can come apart, too.

Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), section VI-A (heuristic over-segmentation).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad


class Cuts(NamedTuple):
    """Where the lines of a batch are cut.

    Attributes:
        places: ``(B, N + 1)``: columns in order, the first one 0; after the last one, it is repeated.
        pieces: ``(B,)`` int64: how many pieces there are, at most N.
    """

    places: Tensor
    pieces: Tensor


def cut_line(strokes: Float[Tensor, "H W"], least: float = 3.0, most: float = 5.0) -> Float[Tensor, " C"]:
    """The columns where a line may be cut, from 0 to W.

    Args:
        strokes: 1 where ink is.
        least: No two cuts are nearer, in columns.
        most: No two cuts in a row are further apart, in columns.
    """
    from scipy import ndimage

    width = strokes.shape[1]
    profile = ndimage.gaussian_filter1d(strokes.numpy().sum(0), 0.8, mode="constant")
    low = profile <= ndimage.minimum_filter1d(profile, 3) + 1e-3
    wanted: list[float] = []
    labels: Any = ndimage.label(low)
    for (valley,) in ndimage.find_objects(labels[0]):
        narrow = valley.stop - valley.start <= 4
        wanted += [(valley.start + valley.stop) / 2] if narrow else [valley.start + 1.5, valley.stop - 1.5]
    kept = [0.0, float(width)]
    for place in sorted((place for place in wanted if 1 < place < width - 1), key=lambda place: profile[int(place)]):
        if min(abs(place - other) for other in kept) >= least:
            kept.append(place)
    kept.sort()
    filled: list[float] = []
    for start, stop in pairwise(kept):
        count = max(1, math.ceil((stop - start) / most - 1e-6))
        filled += [start + (stop - start) * step / count for step in range(count)]
    return torch.tensor([*filled, float(width)])


def cut_lines(
    strokes: Float[Tensor, "B H W"], widths: Int[Tensor, " B"], pieces: int, least: float = 3.0, most: float = 5.0
) -> Cuts:
    """The cuts of a batch of lines.

    Args:
        strokes: Above ½ where ink is.
        widths: How many columns of each are its own.
        pieces: N; a line of ``N · least`` columns never has more.
        least: No two cuts are nearer, in columns.
        most: No two cuts in a row are further apart, in columns.
    """
    lines = zip((strokes > 0.5).float(), widths.tolist(), strict=True)
    cuts = [cut_line(line[:, :width], least, most) for line, width in lines]
    places = torch.stack([pad(cut, (0, pieces + 1 - len(cut)), value=float(cut[-1])) for cut in cuts])
    return Cuts(places, torch.tensor([len(cut) - 1 for cut in cuts]))


def cut_recall(cuts: Cuts, spans: Float[Tensor, "B L 2"], digits: Int[Tensor, " B"], slack: float = 2.0) -> float:
    """Which part of the true boundaries (between neighbours, and at both ends) has a cut in its gap, give or take `slack` columns."""
    order = torch.arange(spans.shape[1] + 1)
    ends = pad(spans[..., 1], (1, 0), value=-torch.inf)
    starts = torch.where(order == digits[:, None], torch.inf, pad(spans[..., 0], (0, 1)))
    low, high = torch.minimum(ends, starts) - slack, torch.maximum(ends, starts) + slack
    places = cuts.places[:, None]
    hit = ((places >= low[..., None]) & (places <= high[..., None])).any(-1)
    there = order <= digits[:, None]
    return float(hit[there].float().mean())


JUNK, BAD = 10, 11
"""Names of pieces that are no digit: ink or paper between digits; a part of a digit, or more than one."""
UNNAMED = -100
"""Of a piece that is neither clearly one thing nor another; what `torch.nn.functional.cross_entropy` leaves out."""


def name_pieces(cuts: Cuts, spans: Float[Tensor, "B L 2"], y: Int[Tensor, "B L"], longest: int) -> Int[Tensor, "B N D"]:
    """What each candidate piece is, the digits' spans being known: a digit, `JUNK`, `BAD` or `UNNAMED`.

    A piece is a digit if no other overlaps it better, or by more than 0.8 (the overlap is intersection over union); nearly as
    good ones stay unnamed. Junk is what lies between two neighbouring cuts and hardly touches any digit.

    Args:
        cuts: N pieces between neighbouring cuts.
        spans: First and last column of each digit.
        y: The digits, −1 after the end.
        longest: D, how many of them make one candidate at most: entry (n, d) ends at cut n + 1 and begins at cut n − d.
    """
    count = cuts.places.shape[1] - 1
    end = torch.arange(1, count + 1)[:, None]
    begin = end - 1 - torch.arange(longest)
    high, low = cuts.places[:, 1:, None, None], cuts.places[:, begin.clamp_min(0)][..., None]
    first, last = (edge[:, None, None] for edge in spans.unbind(-1))
    shared = torch.minimum(high, last) - torch.maximum(low, first)
    overlap = shared / (torch.maximum(high, last) - torch.minimum(low, first)).clamp_min(1e-3)
    real = (begin >= 0) & (end <= cuts.pieces[:, None, None])
    overlap = overlap.masked_fill(~real[..., None] | (y < 0)[:, None, None], -1.0)
    share, digit = overlap.max(-1)
    best = overlap.amax((1, 2)).gather(1, digit.flatten(1)).view_as(share)
    covered = (shared.clamp_min(0) / (high - low).clamp_min(0.5)).masked_fill((y < 0)[:, None, None], 0.0).amax(-1)
    single = torch.arange(longest) == 0
    named = torch.full_like(digit, BAD)
    named[~single & (covered < 0.1) | single & (covered < 0.6) | (share > 0.55) & (share > best - 0.12)] = UNNAMED
    named[single & (covered < 0.2)] = JUNK
    right = (share >= 0.999 * best) | (share > 0.8)
    named = torch.where(right, y.gather(1, digit.flatten(1)).view_as(digit), named)
    return named.masked_fill(~real, UNNAMED)
