"""Cuts are where they must be, and pieces get the names that boxes give them."""

import pytest
import torch

from lowland.data import BAD, JUNK, UNNAMED, cut_line, cut_lines, cut_recall, name_pieces


def line(*bars: tuple[int, int], width: int = 60) -> torch.Tensor:
    strokes = torch.zeros(40, width)
    for first, last in bars:
        strokes[8:32, first:last] = 1.0
    return strokes


def test_cuts_are_sorted_and_neither_near_nor_far():
    generator = torch.Generator().manual_seed(0)
    for width in (5, 23, 64, 200):
        cuts = cut_line((torch.rand(40, width, generator=generator) < 0.2).float())
        steps = cuts.diff()
        assert cuts[0] == 0 and cuts[-1] == width
        assert steps.max() <= 5 + 1e-5 and (width < 6 or steps.min() >= 5 / 2 - 1e-5)


def test_gaps_are_cut():
    cuts = cut_line(line((5, 20), (23, 40), (50, 58)))
    assert ((cuts >= 20) & (cuts <= 23)).any()
    assert ((cuts >= 40) & (cuts <= 50)).sum() >= 2  # a wide gap is a piece of its own


def test_recall_counts_gaps_with_a_cut():
    strokes = torch.stack([line((5, 20), (23, 40)), line((5, 20))])
    cuts = cut_lines(strokes, torch.tensor([60, 60]), 20)
    spans = torch.tensor([[[5.0, 20.0], [23.0, 40.0]], [[5.0, 20.0], [0.0, 0.0]]])
    assert cut_recall(cuts, spans, torch.tensor([2, 1])) == 1.0
    none = cuts._replace(places=torch.zeros_like(cuts.places))
    assert cut_recall(none, spans, torch.tensor([2, 1])) == pytest.approx(0.4)  # nothing but the beginnings


def test_pieces_are_named_by_the_boxes():
    cuts = cut_lines(line((5, 20), (23, 40))[None], torch.tensor([60]), 20)
    spans, y = torch.tensor([[[5.0, 20.0], [23.0, 40.0], [0.0, 0.0]]]), torch.tensor([[7, 3, -1]])
    names = name_pieces(cuts, spans, y, 8)[0]
    places, count = cuts.places[0], int(cuts.pieces[0])
    named = {name: (names == name).nonzero().tolist() for name in names.unique().tolist()}
    assert set(named) == {3, 7, JUNK, BAD, UNNAMED}
    for digit, (first, last) in ((7, (5, 20)), (3, (23, 40))):
        for end, more in named[digit]:
            assert abs(float(places[end - more]) - first) <= 4 and abs(float(places[end + 1]) - last) <= 4
    for end, more in named[JUNK]:
        assert more == 0 and (places[end] >= 39 or places[end + 1] <= 6 or places[end] >= 19)
    assert (names[count:] == UNNAMED).all()
    assert names[0, 1] == UNNAMED  # it would begin before the line
