"""Nearness and analogies, on vectors where the answer is known."""

import pytest
import torch

from lowland.objectives import analogies, nearness

ALL = torch.ones(6, dtype=torch.bool)


def test_what_lies_together_is_near():
    angle = torch.tensor([0.0, 0.1, 1.0, 1.1, 2.0, 2.1])
    vectors = 3 * torch.stack([angle.cos(), angle.sin()], 1)
    together, apart = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[0, 5]])
    assert nearness(vectors, together, ALL) == pytest.approx(4 / 6)  # but for the two of them
    assert nearness(vectors, apart, ALL) == 0.0
    few = torch.tensor([False, False, True, True, True, True])
    assert nearness(vectors, torch.tensor([[0, 1]]), few) == 1.0


def test_a_difference_that_is_always_the_same_answers_every_question():
    torch.manual_seed(0)
    words, ending = torch.eye(4)[:3], torch.tensor([0.0, 0.0, 0.0, 1.0])
    vectors = torch.cat([words, words + ending])
    pairs = torch.tensor([[0, 3], [1, 4], [2, 5]])
    assert analogies(vectors, [pairs], ALL) == 1.0
    assert analogies(vectors, [torch.tensor([[0, 4], [1, 5], [2, 3]])], ALL) < 1.0
    assert analogies(vectors, [pairs[:0]], ALL) == 0.0
    known = ALL.clone()
    known[5] = False  # what may not answer does not
    assert analogies(vectors, [pairs], known) == pytest.approx(2 / 3)
