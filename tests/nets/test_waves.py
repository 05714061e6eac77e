"""Sines and cosines beside the input."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.nets import Waves


def test_the_input_its_length_and_its_waves():
    waves = Waves(2, (2.0, 3.0))
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    seen = waves(x)
    assert seen.shape == (2, waves.width) == (2, 11)
    torch.testing.assert_close(seen[:, :2], x)
    torch.testing.assert_close(seen[:, 2], torch.tensor([5.0, 1e-3]))
    torch.testing.assert_close(seen[0, 3:7], torch.tensor([6.0, 9.0, 8.0, 12.0]).sin())
    torch.testing.assert_close(seen[0, 7:], torch.tensor([6.0, 9.0, 8.0, 12.0]).cos())


def test_without_frequencies_there_are_no_waves():
    assert Waves(3, ())(torch.randn(2, 3)).shape == (2, 4)


def test_the_slope_at_zero_is_finite():
    x = torch.zeros(1, 2, requires_grad=True)
    Waves(2)(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_a_frequency_of_zero_is_refused():
    with pytest.raises(UsageError, match="positive frequencies"):
        Waves(2, (0.0,))
