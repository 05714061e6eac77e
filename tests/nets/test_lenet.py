"""LeNet-5 against the figures of the paper, and its own layers against finite differences."""

import pytest
import torch
from torch import nn

from lowland.errors import SpaceError
from lowland.nets import LeNet5, ModernLeNet, PartialConvolution, ScaledTanh, TrainableSubsampling, digit_bitmaps
from lowland.nets.lenet import CONNECTIONS


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_layers_have_the_papers_sizes_and_trainable_numbers():
    net = LeNet5()
    maps = net.maps(torch.rand(2, 28, 28))
    assert {name: tuple(answer.shape[1:]) for name, answer in maps.items()} == {
        "input": (1, 32, 32), "C1": (6, 28, 28), "S2": (6, 14, 14), "C3": (16, 10, 10), "S4": (16, 5, 5), "C5": (120, 1, 1),
        "F6": (84,),
    }  # fmt: skip
    assert {name: parameters(layer) for name, layer in net.layers.items()} == {
        "C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164,
    }  # fmt: skip
    assert parameters(net) == 60_000


def test_the_connections_are_those_of_table_one():
    assert sum(map(len, CONNECTIONS)) == 60
    assert sorted(map(len, CONNECTIONS)) == [3] * 6 + [4] * 9 + [6]
    assert len(set(CONNECTIONS)) == 16
    # Table I, read by rows: how many maps of C3 each map of S2 feeds, and the first row itself.
    assert [sum(row in seen for seen in CONNECTIONS) for row in range(6)] == [10] * 6
    assert [column for column, seen in enumerate(CONNECTIONS) if 0 in seen] == [0, 4, 5, 6, 9, 10, 11, 12, 14, 15]


def test_a_map_answers_only_to_the_maps_it_sees():
    layer = PartialConvolution(((0, 2), (1,)), channels=3, size=3)
    x = torch.randn(4, 3, 5, 5)
    before = layer(x)
    x[:, 1] += 1
    after = layer(x)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_with_all_connections_it_is_a_convolution():
    layer = PartialConvolution((range(3), range(3)), channels=3, size=3)
    x = torch.randn(2, 3, 6, 6)
    usual = nn.Conv2d(3, 2, 3)
    usual.weight.data, usual.bias.data = layer.weight.data.reshape(2, 3, 3, 3), layer.bias.data
    torch.testing.assert_close(layer(x), usual(x))


def test_a_connection_to_nowhere_is_refused():
    with pytest.raises(SpaceError, match=r"input maps 0 … 2, got 3"):
        PartialConvolution(((0, 3),), channels=3, size=3)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (ScaledTanh(), (2, 5)),
        (TrainableSubsampling(2), (2, 2, 4, 4)),
        (PartialConvolution(((0, 1), (1,)), channels=2, size=3), (2, 2, 4, 4)),
    ],
    ids=["ScaledTanh", "TrainableSubsampling", "PartialConvolution"],
)
def test_gradients_agree_with_finite_differences(layer, shape):
    layer = layer.double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True) if parameters(layer) else ((), ())
    values = [value.detach().requires_grad_() for value in values]

    def answer(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(answer, (x, *values))


def test_the_scaled_tanh_keeps_plus_and_minus_one():
    torch.testing.assert_close(
        ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0])), torch.tensor([-1.0, 0.0, 1.0]), atol=1e-4, rtol=0
    )


def test_subsampling_adds_scales_and_shifts_each_map():
    layer = TrainableSubsampling(1)
    layer.coefficient.data.fill_(0.5)
    layer.bias.data.fill_(-1.0)
    x = torch.tensor([[[[1.0, 2.0], [3.0, -2.0]]]])
    torch.testing.assert_close(layer(x), ScaledTanh()(torch.tensor([[[[0.5 * 4 - 1]]]])))


def test_bitmaps_are_ten_different_codes_of_plus_and_minus_one():
    codes = digit_bitmaps()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    differing = (codes[:, None] != codes).sum(-1) + 84 * torch.eye(10, dtype=torch.long)
    assert differing.min() == 7
    one = codes[1].reshape(12, 7)
    assert one[10].tolist() == [-1, -1, 1, 1, 1, 1, 1]


def test_the_modern_net_gives_logits_and_a_gradient_everywhere():
    net = ModernLeNet(classes=4)
    logits = net(torch.rand(8, 28, 28))
    assert logits.shape == (8, 4)
    logits.logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
