"""The way up, the way back, and the switches between them."""

import pytest
import torch

from lowland.errors import UsageError
from lowland.nets.what_where import WhatWhereNet


def net(**changes) -> WhatWhereNet:
    return WhatWhereNet(**{"side": 12, "channels": (3, 4), "kernels": (5, 3), "classes": 6, **changes}).eval()


def test_what_comes_back_is_as_large_as_what_went_up():
    found = net(side=15)(torch.rand(2, 15, 15)), net(side=15).views(torch.rand(2, 15, 15))
    assert found[0].shape == (2, 6)
    assert [tuple(part.shape[1:]) for part in found[1].up] == [(1, 15, 15), (3, 7, 7), (4, 3, 3)]
    assert [part.shape for part in found[1].down] == [part.shape for part in found[1].up[:-1]]


def test_the_labels_do_not_need_the_way_back():
    both, x = net(), torch.rand(3, 12, 12)
    torch.testing.assert_close(both(x), both.views(x).odds)
    assert not list(net(back=False).down.parameters())


def test_a_switch_puts_each_number_back_where_it_was():
    told, x = net(channels=(1,), kernels=(1,)), torch.zeros(1, 12, 12)
    x[0, 5, 8] = 1.0
    with torch.no_grad():
        told.up[0][0].weight.fill_(1.0)
        told.down[0][0].weight.fill_(30.0)
        told.down[0][0].bias.fill_(-15.0)
    back = told.views(x).down[0][0, 0]
    assert back.argmax() == 5 * 12 + 8 and back[5, 8] > 0.99 and back.sum() - back[5, 8] < 0.01
    told.where = False
    back = told.views(x).down[0][0, 0]
    assert (back[4:6, 8:10] > 0.99).all() and back.sum() - back[4:6, 8:10].sum() < 0.01


def test_the_image_pulls_on_the_convolutions():
    trained = net().train()
    found = trained.views(torch.rand(8, 12, 12))
    (found.down[0] - found.up[0]).square().mean().backward()
    assert all(part.grad is not None for part in [*trained.up.parameters(), *trained.down.parameters()])
    assert all(part.grad is None for part in trained.label.parameters())


@pytest.mark.parametrize("wrong", [{"kernels": (4, 3)}, {"kernels": (3,)}, {"side": 3}])
def test_impossible_nets_are_refused(wrong):
    with pytest.raises(UsageError, match="WhatWhereNet: wanted"):
        net(**wrong)
