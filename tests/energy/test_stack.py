"""The slope in closed form is autograd's, where it applies, and nowhere else is it taken."""

import pytest
import torch
from torch import nn

from lowland.energy import Network
from lowland.energy.stack import LAYERS, is_stack, stack_slope
from lowland.spaces import Real


def stack(nonlinearity: type = nn.SiLU, *front: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        *front, nn.Linear(6, 5), nonlinearity(), nn.Linear(5, 4, bias=False), nonlinearity(), nn.Linear(4, 1)
    ).double()


@pytest.mark.parametrize(
    "nonlinearity", [kind for kind in LAYERS if kind is not nn.Linear], ids=lambda kind: kind.__name__
)
def test_every_nonlinearity_has_its_slope(nonlinearity):
    network, x = stack(nonlinearity), torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    energies = network(x).squeeze(1)
    (wanted,) = torch.autograd.grad(energies.sum(), x)
    got = stack_slope(network, x)
    torch.testing.assert_close(got, (energies.detach(), wanted))
    assert not got[0].requires_grad and not got[1].requires_grad


def test_large_products_take_the_other_library_and_agree():
    network, x = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 1)), torch.randn(200, 64)
    y = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(network(y).sum(), y)
    torch.testing.assert_close(stack_slope(network, x)[1], wanted)


def test_images_are_flattened_and_their_slopes_are_images():
    energy = Network(stack(nn.Tanh, nn.Flatten()), x=Real(2, 3))
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    y = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(energy(x=y).sum(), y)
    with torch.no_grad():
        energies, slope = energy.value_and_gradient(x)
    torch.testing.assert_close(slope, wanted)
    torch.testing.assert_close(energies, energy(x=x).detach())


def test_with_gradients_on_the_slope_carries_a_graph():
    energy, x = Network(stack(), x=Real(6)), torch.randn(7, 6, dtype=torch.float64)
    energies, slope = energy.value_and_gradient(x)
    assert energies.requires_grad and slope.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(energy.value_and_gradient(x), (energies.detach(), slope.detach()))


def test_other_batch_shapes_go_the_usual_way():
    energy, x = Network(stack(), x=Real(6)), torch.randn(2, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        energies, slope = energy.value_and_gradient(x)
        torch.testing.assert_close(slope[1], energy.value_and_gradient(x[1])[1])
    assert energies.shape == (2, 7)


def test_a_hook_is_heard():
    heard = []
    network = stack()
    network[2].register_forward_hook(lambda *_: heard.append(1))
    with torch.no_grad():
        Network(network, x=Real(6)).value_and_gradient(torch.randn(3, 6, dtype=torch.float64))
    assert heard and not is_stack(network)


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(6, 1),
        nn.Sequential(),
        nn.Sequential(nn.Flatten()),
        nn.Sequential(nn.Linear(6, 2)),
        nn.Sequential(nn.Linear(6, 1), nn.ReLU()),
        nn.Sequential(nn.Linear(6, 3), nn.Dropout(), nn.Linear(3, 1)),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 1))),
    ],
)
def test_what_is_no_stack(network):
    assert not is_stack(network)
