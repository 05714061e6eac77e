"""Any small size that halves twice."""

import pytest
import torch

from lowland.nets.glyph import GlyphNet


@pytest.mark.parametrize("size", [(16, 8), (20, 16)])
def test_logits_for_each_picture(size):
    net = GlyphNet(*size, classes=7, maps=4, hidden=8)
    assert net(torch.rand(3, *size)).shape == (3, 7)
