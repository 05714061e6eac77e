"""A field is found, upright, of one height, or refused with a reason."""

import pytest
import torch

from lowland.data import LINE_HEIGHT, normalise_field
from lowland.data.field import LINE
from lowland.errors import DataError


def strokes(slant: float = 0.0, size: int = 60) -> torch.Tensor:
    """Four strokes on grey paper, leaning to the right by `slant` columns for each row upwards."""
    picture = torch.full((size, 160), 0.8)
    rows = torch.arange(size // 6, size - size // 6)
    for left in (40, 65, 90, 115):
        for wide in range(4):
            picture[rows, (left + wide - slant * (rows - size / 2)).long()] = 0.2
    return picture


def test_writing_takes_the_height_of_a_line():
    for size in (45, 60, 90):
        field = normalise_field(strokes(size=size))
        rows = field.strokes.any(1).nonzero()[:, 0]
        assert field.ink.shape[0] == LINE_HEIGHT
        assert abs(int(rows[-1] - rows[0] + 1) - LINE) <= 2


def test_leaning_strokes_become_upright():
    field = normalise_field(strokes(0.4))
    assert field.slant == pytest.approx(0.4, abs=0.11)
    columns = field.strokes.any(0)
    assert int((columns[1:] > columns[:-1]).sum()) == 4  # four strokes apart


def test_boxes_move_with_the_picture():
    for slant in (0.0, 0.4):
        field = normalise_field(strokes(slant))
        lean = slant * 40
        boxes = torch.tensor([[left - lean / 2, 10.0, 4 + lean, 40.0] for left in (40, 65, 90, 115)])
        for first, last in field.spans(boxes).tolist():
            inside = field.strokes[:, max(0, round(first) - 2) : round(last) + 2]
            assert inside.any() and not inside[:, 0].all()
            assert float(inside.sum()) > 0.75 * float(field.strokes.sum()) / 4


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_picture_without_ink_is_refused(level):
    with pytest.raises(DataError, match=r"blank\.png: wanted dark ink"):
        normalise_field(torch.full((40, 100), level), "blank.png")


def test_dust_is_no_ink():
    picture = torch.full((60, 200), 0.8)
    picture[30, ::40] = 0.1
    with pytest.raises(DataError, match="dust"):
        normalise_field(picture)
