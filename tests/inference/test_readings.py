"""Readings are the most probable strings, held against the sum over all paths."""

from itertools import product

import pytest
import torch

from lowland.energy import NetworkTable, PieceEnergies
from lowland.errors import VariableError
from lowland.inference import readings


def every_string(energy: PieceEnergies, x: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The probability of each string, by hand: two symbols, and a label that is junk; pieces of one or two positions."""
    mass: dict[tuple[int, ...], float] = {}
    for sizes in [s for count in (2, 3, 4) for s in product((1, 2), repeat=count) if sum(s) == 4]:
        ends = torch.tensor(sizes).cumsum(0) - 1
        for names in product(range(3), repeat=len(sizes)):
            spelt = tuple(name for name in names if name < 2)
            if spelt:
                cost = sum(float(x[end, size - 1, name]) for end, size, name in zip(ends, sizes, names, strict=True))
                mass[spelt] = mass.get(spelt, 0.0) + float(torch.tensor(-cost).exp())
    whole = sum(mass.values())
    return {name: value / whole for name, value in mass.items()}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_most_probable_strings_come_first(count):
    energy = PieceEnergies.example()
    x = 3 * torch.randn(6, 4, 2, 3, generator=torch.Generator().manual_seed(0))
    found = readings(energy.given(x=x, length=torch.full((6,), 4)), count, paths=20)
    for row in range(6):
        truth = every_string(energy, x[row])
        strings = [tuple(symbol for symbol in string if symbol >= 0) for string in found.strings[row].tolist()]
        assert len(set(strings)) == count
        wanted = [truth[string] for string in strings]
        torch.testing.assert_close(found.probabilities[row], torch.tensor(wanted), atol=1e-5, rtol=1e-4)
        assert wanted == sorted(wanted, reverse=True)
        if count > 2:
            assert wanted[0] == max(truth.values())


def test_an_energy_of_labels_has_no_strings():
    with pytest.raises(VariableError, match="unknown: z"):
        readings(NetworkTable.example().given(x=torch.zeros(1, 5)))
