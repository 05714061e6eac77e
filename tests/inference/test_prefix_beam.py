"""The strings that a beam of prefixes finds, against a list of all."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.energy import FrameEnergies, PieceEnergies
from lowland.errors import StructureError
from lowland.inference import prefix_beam

T, C = 5, 2


def question(seed: int, scale: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(3, T, 1 + C, generator=generator, dtype=torch.float64)
    return {"x": x, "length": torch.tensor([5, 3, 1])}


def listed(x: torch.Tensor, length: int) -> list[tuple[float, list[int]]]:
    """Each string and its probability, the greatest first."""
    found: dict[tuple, float] = {}
    labellings = list(itertools.product(range(1 + C), repeat=length))
    energies = torch.tensor([sum(float(x[t, label]) for t, label in enumerate(each)) for each in labellings])
    for labels, p in zip(labellings, (-energies.double()).softmax(0).tolist(), strict=True):
        string = tuple(label - 1 for label, _ in itertools.groupby(labels) if label)
        found[string] = found.get(string, 0.0) + p
    return sorted(((p, list(string)) for string, p in found.items()), reverse=True)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0, 3.0]))
def test_a_wide_beam_finds_the_best(seed, scale):
    known = question(seed, scale)
    strings, probabilities = prefix_beam(FrameEnergies(C, T).given(**known), count=3, width=64)
    for n, length in enumerate(known["length"].tolist()):
        best = listed(known["x"][n], length)[:3]
        assert probabilities[n].tolist() == pytest.approx([p for p, _ in best], abs=1e-6)
        assert [[c for c in row if c >= 0] for row in strings[n].tolist()] == [string for _, string in best]


def test_a_narrow_beam_says_true_probabilities():
    known = question(1, 1.0)
    strings, probabilities = prefix_beam(FrameEnergies(C, T).given(**known), count=2, width=3)
    for n, length in enumerate(known["length"].tolist()):
        chances = {tuple(string): p for p, string in listed(known["x"][n], length)}
        for row, p in zip(strings[n].tolist(), probabilities[n].tolist(), strict=True):
            assert p == pytest.approx(chances[tuple(c for c in row if c >= 0)], abs=1e-6)


def test_many_paths_beat_the_best_path():
    """Two frames that are nothing with 0.6 each: the best path spells nothing, with 0.36; all that spell a symbol have 0.64."""
    x = -torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    strings, probabilities = prefix_beam(FrameEnergies(1, 2).given(x=x, length=torch.tensor([2])))
    assert strings[0].tolist() == [[0, -1], [-1, -1]]
    torch.testing.assert_close(probabilities[0], torch.tensor([0.64, 0.36]))


def test_wrong_use_is_said():
    known = question(0, 1.0)
    with pytest.raises(StructureError, match="1 ≤ count ≤ width, got 5 and 4"):
        prefix_beam(FrameEnergies(C, T).given(**known), count=5, width=4)
    with pytest.raises(StructureError, match="wanted an Alignment"):
        prefix_beam(PieceEnergies.example().given(x=torch.zeros(1, 4, 2, 3), length=torch.tensor([4])))
