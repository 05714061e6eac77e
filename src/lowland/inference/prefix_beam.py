"""The most probable strings of an alignment, found from left to right: paths that spell the same so far are summed, not compared.

For each string in the beam two sums are kept, of the paths that end with its last symbol and of those that end with nothing; a
symbol that comes again is a new one only after nothing. Strings that meet are joined. The beam may lose the best string, so those
that remain are weighed exactly at the end; with a beam as wide as there are strings the answer is exact.

    p(y | x) = exp(F(x) − F(x, y)),    F(x, y) = −log Σ_z exp(−E(x, y, z)),    F(x) = −log Σ_y exp(−F(x, y))

Sources: Hannun, Maas, Jurafsky & Ng, First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs
(2014), algorithm 1; Graves, Fernández, Gomez & Schmidhuber, ICML (2006), section 3.2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..energy import Alignments, Energy, FreeEnergy
from ..errors import StructureError
from ..spaces import NOTHING
from .readings import Readings

#: An odd number that spreads strings over the integers of 64 bits; two of a beam with the same number are one in 10¹⁶.
_SPREAD = 6364136223846793005


class _Beam(NamedTuple):
    """W strings for each sample, the most probable first."""

    strings: Tensor  # (B, W, T), −1 after the end
    last: Tensor  # (B, W): the last label, 0 for none
    number: Tensor  # (B, W): what the string is recognised by
    symbol: Tensor  # (B, W): logarithm of the sum of paths that end with the last symbol
    nothing: Tensor  # (B, W): of those that end with nothing


@torch.no_grad()
def prefix_beam(energy: Energy, count: int = 2, width: int = 16) -> Readings:
    """The most probable strings of each sample, with all the paths that spell them.

    Args:
        energy: An `Alignment` of a string ``y`` and labels ``z`` alone: all else is given.
        count: How many strings.
        width: W ≥ ``count``, how many are kept on the way; the work grows with W² + W·C for each frame.

    Raises:
        StructureError: If it is no alignment, or the beam is narrower than what is asked for.
    """
    found = energy.structure("y", "z")
    if found is None or not isinstance(found[0], Alignments) or len(found[1]) != 1:
        raise StructureError(
            f"prefix_beam: wanted an Alignment with all but y and z given, in one batch, got {type(energy).__name__}."
        )
    if not 1 <= count <= width:
        raise StructureError(f"prefix_beam: wanted 1 ≤ count ≤ width, got {count} and {width}.")
    everything = found[0]
    batch, positions, _ = everything.potentials.shape
    chances = -everything.potentials.double()
    none = chances.new_full((batch, width), -torch.inf)
    integers = torch.zeros_like(none, dtype=torch.int64)
    beam = _Beam(integers[..., None].expand(-1, -1, positions) + NOTHING, integers, integers, none, none.clone())
    beam.nothing[:, 0] = 0.0
    for t in range(positions):
        longer = _extended(beam, chances[:, t])
        there = (t < everything.lengths)[:, None, None]
        pairs = zip(longer, beam, strict=True)
        beam = _Beam(*(torch.where(there if new.ndim == 3 else there[..., 0], new, old) for new, old in pairs))
    return _weighed(energy, everything, beam, count)


def _extended(beam: _Beam, chance: Tensor) -> _Beam:
    """The beam after one more frame, ``chance (B, C)``."""
    width, labels = beam.last.shape[1], chance.shape[1]
    either = torch.logaddexp(beam.symbol, beam.nothing)
    again = chance.gather(1, beam.last)
    symbol = (beam.symbol + again).masked_fill(beam.last == 0, -torch.inf)
    nothing = either + chance[:, :1]
    label = torch.arange(labels, device=chance.device)
    more = torch.where(label == beam.last[..., None], beam.nothing[..., None], either[..., None]) + chance[:, None]
    more[..., 0] = -torch.inf
    number = beam.number[..., None] * _SPREAD + label
    # a string that is already there, [k], may be another one, [j], and its own last symbol
    same = (number.gather(2, beam.last[:, None].expand(-1, width, -1)) == beam.number[:, None]) & (beam.last > 0)[
        :, None
    ]
    same = same & either.isfinite()[:, None] & either.isfinite()[..., None]
    joined = more.gather(2, beam.last[:, None].expand(-1, width, -1)).masked_fill(~same, -torch.inf)
    symbol = torch.logaddexp(symbol, joined.logsumexp(1))
    taken = torch.zeros_like(more, dtype=torch.int64).scatter_add_(
        2, beam.last[:, None].expand(-1, width, -1), same.to(torch.int64)
    )
    more = more.masked_fill(taken > 0, -torch.inf)
    score, place = torch.cat([torch.logaddexp(symbol, nothing), more.flatten(1)], 1).topk(width, 1)
    grown = place >= width
    source = torch.where(grown, (place - width) // labels, place)
    added = torch.where(grown, (place - width) % labels, 0)
    strings = beam.strings.gather(1, source[..., None].expand_as(beam.strings))
    end = (strings != NOTHING).sum(-1, keepdim=True).clamp_max(strings.shape[-1] - 1)
    strings = strings.scatter(2, end, torch.where(grown, added - 1, strings.gather(2, end)[..., 0])[..., None])
    return _Beam(
        strings,
        torch.where(grown, added, beam.last.gather(1, source)),
        torch.where(grown, number.flatten(1).gather(1, source * labels + added), beam.number.gather(1, source)),
        torch.where(grown, score, symbol.gather(1, source)),
        torch.where(grown, -torch.inf, nothing.gather(1, source)),
    )


def _weighed(energy: Energy, everything: Alignments, beam: _Beam, count: int) -> Readings:
    """The strings of the beam in the order of all their paths."""
    longest = energy.spaces["y"].shape[0]
    strings = pad(beam.strings, (0, max(0, longest - beam.strings.shape[2])), value=NOTHING)[..., :longest]
    energies = energy.marginalize("z")(y=strings.transpose(0, 1)).T
    found = torch.logaddexp(beam.symbol, beam.nothing).isfinite()
    probabilities = (everything.reduce(FreeEnergy(1.0))[:, None] - energies).exp().masked_fill(~found, 0.0)
    order = probabilities.argsort(1, descending=True)[:, :count]
    chosen = strings.gather(1, order[..., None].expand(-1, -1, strings.shape[2]))
    return Readings(chosen, probabilities.gather(1, order))
