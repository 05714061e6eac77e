import pytest
import torch
from torch import nn

from lowland.errors import UsageError
from lowland.nets import mlp


def test_layers_follow_the_sizes_and_what_lies_behind_the_batch_is_flattened():
    net = mlp((6, 5, 4, 3), nn.Tanh)
    assert [(layer.in_features, layer.out_features) for layer in net if isinstance(layer, nn.Linear)] == [
        (6, 5),
        (5, 4),
        (4, 3),
    ]
    assert sum(isinstance(layer, nn.Tanh) for layer in net) == 2
    assert net(torch.randn(7, 2, 3)).shape == (7, 3)


def test_two_sizes_are_a_linear_map():
    net = mlp((3, 2))
    x, y = torch.randn(2, 4, 3)
    torch.testing.assert_close(net(x + y) - net(y), net(x) - net(torch.zeros(4, 3)))


def test_dropout_silences_units_in_training_only():
    net = mlp((50, 50, 1), dropout=0.5, dropout_input=0.5)
    x = torch.randn(2, 50)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize("sizes", [(3,), (3, 0, 1)])
def test_sizes_that_make_no_network_are_refused(sizes):
    with pytest.raises(UsageError, match="two or more positive sizes"):
        mlp(sizes)
