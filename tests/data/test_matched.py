"""Drawings framed as digits are, and with the ink of digits: what is left is their shape."""

import pytest
import torch

from lowland.data.matched import frame_strokes, match_ink
from lowland.errors import UsageError


def cross(height, width, top, left, size):
    drawing = torch.zeros(height, width)
    drawing[top : top + size, left + size // 2] = 1
    drawing[top + size // 2, left : left + size] = 1
    return drawing


def test_a_drawing_is_framed_wherever_and_however_large_it_is():
    drawings = torch.stack([cross(60, 80, 3, 40, 31), cross(60, 80, 20, 5, 15)])
    framed = frame_strokes(drawings)
    assert framed.shape == (2, 28, 28)
    for image in framed:
        rows, columns = (image.sum(1) > 0.01).nonzero(), (image.sum(0) > 0.01).nonzero()
        assert 20 <= len(rows) <= 22 and 20 <= len(columns) <= 22
        middle = torch.arange(28) + 0.5
        assert (image.sum(1) @ middle / image.sum()).item() == pytest.approx(14, abs=0.1)
        assert (image.sum(0) @ middle / image.sum()).item() == pytest.approx(14, abs=0.1)
    with pytest.raises(UsageError, match="number 1 is blank"):
        frame_strokes(torch.stack([drawings[0], 0 * drawings[0]]))


def test_matched_drawings_have_the_grey_levels_of_digits_and_their_own_shape():
    generator = torch.Generator().manual_seed(0)
    like = torch.rand(5, 28, 28, generator=generator).pow(6)
    thin = frame_strokes(cross(60, 60, 10, 10, 41)[None])[0]
    thick = frame_strokes(torch.nn.functional.max_pool2d(cross(60, 60, 10, 10, 41)[None], 9, 1, 4))[0]
    matched = match_ink(torch.stack([thick, thin]), like[:2])
    levels = like[:2].flatten(1).sort(1).values
    order = like[:2].sum((1, 2)).argsort(descending=True)  # the thicker takes the levels of the one with more ink
    assert torch.equal(matched.flatten(1).sort(1).values, levels[order])
    assert matched[1][thin > 0.3].mean() > 3 * matched[1][thin == 0].mean()
    few = match_ink(torch.rand(6, 28, 28), like[:2]).flatten(1).sum(1)
    torch.testing.assert_close(few.sort().values, like[:2].sum((1, 2)).repeat(3).sort().values)
    with pytest.raises(UsageError, match="wanted images to match, got none"):
        match_ink(torch.rand(6, 28, 28), like[:0])
