"""Every candidate piece gets a distribution, whatever else is in the batch."""

import torch

from lowland.nets import SegmentRecogniser


def small() -> SegmentRecogniser:
    torch.manual_seed(0)
    return SegmentRecogniser(16, classes=5, longest=3, channels=(4, 4, 4, 4, 8), hidden=8).eval()


def test_answers_are_log_probabilities_of_every_piece():
    net = small()
    cuts = torch.tensor([[0.0, 4, 9, 12, 16], [0, 3, 8, 8, 8]])
    found = net(torch.rand(2, 16, 16), cuts)
    assert found.shape == (2, 4, 3, 5)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2, 4, 3))


def test_a_line_does_not_depend_on_its_neighbours():
    net = small()
    ink, cuts = torch.rand(3, 16, 24), torch.tensor([0.0, 5, 10, 17, 24]).repeat(3, 1)
    torch.testing.assert_close(net(ink, cuts)[1:2], net(ink[1:2], cuts[1:2]))


def test_a_piece_depends_on_the_ink_near_it_alone():
    net = small()
    ink, cuts = torch.rand(1, 16, 160), torch.linspace(0, 160, 33)[None]
    changed = ink.clone()
    changed[..., 100:] = 0
    before, after = net(ink, cuts), net(changed, cuts)
    torch.testing.assert_close(before[:, :14], after[:, :14])
    assert not torch.allclose(before[:, 21:], after[:, 21:])


def test_longer_pieces_see_more():
    net = small()
    found = net(torch.rand(1, 16, 32), torch.tensor([[0.0, 8, 16, 24, 32]]))
    assert not torch.allclose(found[0, 3, 0], found[0, 3, 1])
