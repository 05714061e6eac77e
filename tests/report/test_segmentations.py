"""A cut line shows its cuts, its pieces and its caption."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.report import CutLine, segmentations


def test_every_line_is_drawn_with_its_cuts_and_pieces():
    line = CutLine(torch.zeros(40, 50), [0.0, 10.0, 30.0, 50.0], [(0, 2, "7"), (2, 3, "1")], "71, p = 0.9")
    figure = segmentations([line] * 4, columns=3)
    drawn = [axis for axis in figure.axes if axis.images]
    assert len(drawn) == 4
    assert {text.get_text() for text in drawn[0].texts} == {"7", "1", "71, p = 0.9"}
    cuts, *pieces = drawn[0].collections
    assert len(cuts.get_segments()) == 4 and len(pieces) == 2


def test_nothing_to_draw_is_refused():
    with pytest.raises(UsageError, match="at least one line"):
        segmentations([])
