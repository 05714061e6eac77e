import torch
from torch import nn
from torch.nn.functional import pad

from lowland.nets import SpaceDisplacementNet, multiply_adds
from lowland.nets.space_displacement import MARGIN, STRIDE, WINDOW


def test_one_pass_is_window_by_window():
    torch.manual_seed(0)
    net = SpaceDisplacementNet((4, 6, 8), code=5).eval()
    x = torch.rand(2, 28, 60)
    codes = net(x)
    assert codes.shape == (2, 30, 5)
    windows = pad(x, (MARGIN, MARGIN)).unfold(2, WINDOW, STRIDE).transpose(1, 2)
    torch.testing.assert_close(net.windows(windows.flatten(0, 1)).reshape(codes.shape), codes, atol=1e-5, rtol=1e-5)


def test_products_are_counted():
    layers = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4))
    found = multiply_adds(layers, lambda: layers(torch.zeros(2, 3, 10, 12)))
    assert found == 2 * (6 * 8 * 4 * 75 + 4 * 6 * 4 * 9)
    assert not any(layer._forward_hooks for layer in layers)


def test_one_pass_is_ten_times_cheaper_than_its_windows():
    net = SpaceDisplacementNet().eval()
    once = multiply_adds(net, lambda: net(torch.zeros(1, 28, 280)))
    window = multiply_adds(net, lambda: net.windows(torch.zeros(1, 28, WINDOW)))
    assert (280 // STRIDE) * window > 10 * once
