"""A decoder that writes all at once begins with copies of what it read, and sees its own sentence alone."""

import torch

from lowland.nets.parallel_transformer import ParallelTransformer, copies


def net():
    torch.manual_seed(0)
    return ParallelTransformer(7, 5, dim=8, heads=2, blocks=2, hidden=16, dropped=0.0, most=3).eval()


def test_symbols_are_copied_as_often_as_they_are_fertile():
    copied, there = copies(torch.tensor([[2, 0, 1], [0, 3, 1]]))
    assert copied[0, :3].tolist() == [0, 0, 2] and copied[1].tolist() == [1, 1, 1, 2]
    assert there.tolist() == [[True, True, True, False], [True] * 4]


def test_padding_is_never_copied():
    heard = net().read(torch.tensor([[1, 2, 3], [4, -1, -1]]))
    assert torch.equal(heard.fertility[1, 1:].exp(), torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4))
    torch.testing.assert_close(heard.fertility.exp().sum(-1), torch.ones(2, 3))


def test_a_sentence_is_written_from_itself_alone():
    made = net()
    x, z = torch.tensor([[1, 2, 3], [4, 0, -1]]), torch.tensor([[1, 2, 1], [2, 0, 0]])
    together = made(made.read(x), z)
    alone = made(made.read(x[1:, :2]), z[1:, :2])
    torch.testing.assert_close(alone[0], together[1, :2])
    assert together.shape == (2, 4, 7)


def test_every_place_sees_all_others():
    made = net()
    x = torch.tensor([[1, 2, 3]])
    heard = made.read(x)
    heard = heard._replace(symbols=heard.symbols.detach().requires_grad_())
    made(heard, torch.tensor([[1, 1, 1]]))[0, 0].sum().backward()
    assert (heard.symbols.grad.abs().sum(-1) > 0).all()
