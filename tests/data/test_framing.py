"""Framing finds the ink, whichever way round it is drawn."""

import pytest
import torch

from lowland.data import frame_ink, frame_line
from lowland.errors import DataError


@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_stroke_on_a_large_page_fills_the_frame(dark_ink):
    page = torch.full((100, 60), 0.02)
    page[20:52, 10:18] = 0.9
    framed = frame_ink(1 - page if dark_ink else page, 8)
    assert framed.shape == (8, 8)
    torch.testing.assert_close(framed[:, 3:5], torch.full((8, 2), 0.9))
    assert framed[:, :3].max() == 0 and framed[:, 5:].max() == 0


def test_a_wide_stroke_is_centred_in_height():
    page = torch.zeros(40, 90)
    page[5:15, 20:60] = 1
    framed = frame_ink(page, 8)
    assert framed[3:5].min() == 1 and framed[:3].max() == 0 and framed[5:].max() == 0


def test_what_has_the_size_is_only_turned_to_ink():
    image = torch.zeros(8, 8)
    image[2:6, 3] = torch.tensor([0.2, 1.0, 1.0, 0.4])
    assert torch.equal(frame_ink(image, 8), image)
    torch.testing.assert_close(frame_ink(1 - image, 8), image)


def test_an_empty_page_stays_empty():
    assert frame_ink(torch.ones(30, 20), 8).max() == 0


@pytest.mark.parametrize("dark_ink", [True, False])
def test_a_line_is_scaled_to_its_rows_and_set_at_the_left(dark_ink):
    page = torch.full((90, 200), 0.02)
    page[30:70, 50:130] = 0.9
    line, columns = frame_line(1 - page if dark_ink else page, 28, 20, 100)
    assert line.shape == (28, 100) and columns == 6 + 40 + 6
    torch.testing.assert_close(line[4:24, 6:46], torch.full((20, 40), 0.9))
    assert line.sum().item() == pytest.approx(0.9 * 20 * 40, rel=1e-5)


def test_a_line_of_the_right_height_is_taken_as_it_is():
    page = torch.rand(28, 50)
    page[0] = page[-1] = page[:, 0] = page[:, -1] = 0.0
    line, columns = frame_line(page, 28, 20, 60)
    assert columns == 50 and torch.equal(line[:, :50], page) and line[:, 50:].max() == 0


def test_a_line_without_ink_or_too_long_is_refused():
    with pytest.raises(DataError, match="without ink"):
        frame_line(torch.ones(40, 80), 28, 20, 100)
    page = torch.ones(40, 400)
    page[15:25, 20:380] = 0.0
    with pytest.raises(DataError, match="at most 100 columns at 28 rows, got 732: cut it in two"):
        frame_line(page, 28, 20, 100)
