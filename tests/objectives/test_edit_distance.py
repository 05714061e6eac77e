"""Edit distances against the textbook recursion, one pair at a time."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.objectives.edit_distance import edit_distance, word_error


def by_hand(one: list[int], other: list[int]) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, before = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def test_it_is_the_textbook_distance():
    generator = torch.Generator().manual_seed(0)
    got, wanted = (torch.randint(0, 3, (200, width), generator=generator) for width in (7, 5))
    got = torch.where(torch.arange(7) < torch.randint(0, 8, (200, 1), generator=generator), got, -1)
    wanted = torch.where(torch.arange(5) < torch.randint(0, 6, (200, 1), generator=generator), wanted, -1)
    pairs = zip(got.tolist(), wanted.tolist(), strict=True)
    expected = [by_hand([a for a in one if a >= 0], [b for b in other if b >= 0]) for one, other in pairs]
    assert edit_distance(got, wanted).tolist() == expected


def test_word_error_counts_edits_for_each_word_said():
    got, wanted = torch.tensor([[1, 2, 3], [4, -1, -1]]), torch.tensor([[1, 3, -1], [4, -1, -1]])
    assert word_error(got, wanted) == pytest.approx(1 / 3)
    with pytest.raises(UsageError, match="at least one word"):
        word_error(got, torch.full_like(wanted, -1))
