"""Framing finds the ink, whichever way round it is drawn."""

import pytest
import torch

from lowland.data import frame_ink


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
