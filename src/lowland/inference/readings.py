"""The most probable strings of an energy of readings, each with all the paths that spell it.

    p(y | x) = exp(F(x) − F(x, y)),    F(x, y) = −log Σ_z exp(−E(x, y, z)),    F(x) = −log Σ_y exp(−F(x, y))

No recursion finds the string of least F(x, y), so the strings of the best paths are compared: of the best path, and of the best
one or few that spell anything else. The probability of the first, or its margin to the second, says when to reject.

Source: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), sections VI-E and X-D.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..energy import Energy, FreeEnergy, KBest, Min, Structure
from ..errors import StructureError


class Readings(NamedTuple):
    """Strings in the order of their probability.

    Attributes:
        strings: ``(B, count, L)``.
        probabilities: ``(B, count)``; 0 where there are fewer strings.
    """

    strings: Tensor
    probabilities: Tensor


@torch.no_grad()
def readings(energy: Energy, count: int = 2, paths: int = 8) -> Readings:
    """The most probable strings of each line.

    Args:
        energy: Of a string ``y`` and a path ``z`` alone: the line is given.
        count: How many strings.
        paths: For more than two, how many of the best paths are looked at for each other string; many of them spell the same.

    Raises:
        StructureError: If no recursion over paths is known.
    """
    everything = _structure(energy)
    first = everything.read(Min())[0]
    others = _structure(energy, other_than=first)
    if count == 2:
        strings = torch.stack([first, others.read(Min())[0]], 1)
    else:
        strings = torch.cat([first[:, None], others.read(KBest(paths * (count - 1)))[0]], 1)
    energies = energy.marginalize("z")(y=strings.transpose(0, 1)).T
    probabilities = (everything.reduce(FreeEnergy(1.0))[:, None] - energies).exp()
    again = (strings[:, :, None] == strings[:, None]).all(-1).tril(-1).any(-1)
    order = probabilities.masked_fill(again, -1.0).argsort(1, descending=True)[:, :count]
    chosen = strings.gather(1, order[..., None].expand(-1, -1, strings.shape[2]))
    return Readings(chosen, probabilities.masked_fill(again, 0.0).gather(1, order))


def _structure(energy: Energy, other_than: Tensor | None = None) -> Structure:
    found = energy.structure("y", "z", other_than=other_than)
    if found is None:
        raise StructureError(
            f"readings: {type(energy).__name__} is no energy of strings y and paths z, with all else given."
        )
    return found[0]
