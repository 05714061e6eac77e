"""A dictionary learnt with hidden pointers finds which word translates which."""

import torch

from lowland.data import align, fertilities


def test_words_that_change_places_are_found():
    generator = torch.Generator().manual_seed(0)
    x = torch.stack([torch.randperm(8, generator=generator)[:4] for _ in range(200)])
    order = torch.stack([torch.randperm(4, generator=generator) for _ in range(200)])
    y = 10 + x.gather(1, order)
    found = align(x, y, passes=8, diagonal=0.5)
    assert (found == order).float().mean() > 0.98
    short = y.clone()
    short[:, 3] = -1
    assert (align(x, short)[:, 3] == -1).all()


def test_fertilities_count_and_keep_the_length():
    x = torch.tensor([[1, 2, 3, -1]])
    z = fertilities(torch.tensor([[0, 0, 2, 0, -1]]), x, most=3)
    assert z.tolist() == [[3, 0, 1, 0]]
    z = fertilities(torch.tensor([[2, 2, 2, 2, 2]]), x, most=2)
    assert z.tolist() == [[1, 2, 2, 0]]
