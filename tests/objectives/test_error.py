"""What is gained and lost by accepting less."""

import pytest
import torch

from lowland.objectives import rejection_curve


def test_the_surest_are_accepted_first():
    correct, wrong = rejection_curve(torch.tensor([False, True, True, False]), torch.tensor([0.1, 0.9, 0.2, 0.5]))
    assert correct.tolist() == pytest.approx([0, 0.25, 0.25, 0.5, 0.5])
    assert wrong.tolist() == pytest.approx([0, 0, 0.25, 0.25, 0.5])


def test_of_nothing_nothing_is_accepted():
    correct, wrong = rejection_curve(torch.zeros(0, dtype=torch.bool), torch.zeros(0))
    assert correct.tolist() == [0.0] and wrong.tolist() == [0.0]
