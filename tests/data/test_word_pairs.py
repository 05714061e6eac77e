"""Words that stand beside each other, and words with an ending."""

import torch

from lowland.data import inflections, neighbours, streams


def test_neighbours_are_those_beside_each_other_both_ways():
    text, often = torch.tensor([0, 1, 2, 3]), torch.ones(4, dtype=torch.int64)
    known = torch.ones(4, dtype=torch.bool)
    found = neighbours(text, known, often, 1, 1.0, torch.Generator().manual_seed(0))
    assert sorted(found.T.tolist()) == [[0, 1], [1, 0], [1, 2], [2, 1], [2, 3], [3, 2]]
    known[1] = False  # left out first: then 0 and 2 are neighbours
    found = neighbours(text, known, often, 1, 1.0, torch.Generator().manual_seed(0))
    assert sorted(found.T.tolist()) == [[0, 2], [2, 0], [2, 3], [3, 2]]


def test_far_ones_are_taken_less_often_and_frequent_ones_thinned_out():
    text = torch.arange(2).repeat(5000)
    text[::10] = 2
    often = torch.bincount(text)
    found = neighbours(text, torch.ones(3, dtype=torch.bool), often, 2, 1.0, torch.Generator().manual_seed(0))
    near = (found[0] != found[1]).float().mean()  # in turns: another word at a distance of 1, the same at 2
    assert 0.6 < near < 0.75
    kept = neighbours(text, torch.ones(3, dtype=torch.bool), often, 1, 0.1, torch.Generator().manual_seed(0))
    share = torch.bincount(kept[0], minlength=3) / kept.shape[1]
    assert share[2] > 1.5 * often[2] / len(text)


def test_inflections_are_found_by_rule():
    words = [
        "company",
        "companies",
        "offer",
        "offered",
        "offers",
        "trade",
        "traded",
        "trading",
        "rare",
        "rarely",
        "cat",
        "cats",
    ]
    often = torch.full((len(words),), 50)
    plural, past, ing, ly = (
        [[words[k] for k in pair] for pair in pairs.tolist()]
        for pairs in inflections(words, torch.ones(len(words), dtype=torch.bool), often)
    )
    assert plural == [["company", "companies"], ["offer", "offers"]]  # three letters are too few for a rule
    assert past == [["offer", "offered"], ["trade", "traded"]]
    assert ing == [["trade", "trading"]] and ly == [["rare", "rarely"]]


def test_streams_go_on_where_they_ended():
    pieces = streams(torch.arange(13), 2, 3)
    assert pieces.tolist() == [[0, 1, 2], [6, 7, 8], [3, 4, 5], [9, 10, 11]]
