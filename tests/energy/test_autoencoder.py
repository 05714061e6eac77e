"""The energies of autoencoders: zero where nothing is moved, and cross entropies of bits."""

import pytest
import torch
from torch import nn

from lowland import infer
from lowland.energy import BitReconstruction, Partial, SelfReconstruction
from lowland.errors import SpaceError
from lowland.objectives import mend
from lowland.spaces import Binary, Box, Real


class Project(nn.Module):
    """Onto the line x₀ = x₁."""

    def forward(self, x):
        return x.mean(-1, keepdim=True).expand(x.shape)


def test_the_energy_is_the_squared_way_to_what_the_network_makes_of_x():
    energy = SelfReconstruction(Project(), Real(2))
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0], [3.0, 0.0]])
    assert energy(x=x).tolist() == [0, 2, 4.5]
    with pytest.raises(SpaceError, match=r"wanted a reconstruction of shape \(3, 2\), got \(3, 5\)"):
        SelfReconstruction(nn.Linear(2, 5), Real(2))(x=x)


def test_what_is_missing_is_filled_in_where_nothing_has_to_be_mended():
    energy = SelfReconstruction(Project(), Box(0.0, 1.0, 2))
    known = Partial(torch.tensor([[0.7, 0.0], [0.0, 0.2]]), torch.tensor([[True, False], [False, True]]))
    found = infer(energy, "x", x=known)
    torch.testing.assert_close(found.value, torch.tensor([[0.7, 0.7], [0.2, 0.2]]), atol=1e-3, rtol=0)


def test_bits_cost_their_cross_entropy_and_their_log_odds_are_the_slope():
    network = nn.Linear(3, 3)
    energy = BitReconstruction(network, Binary(3))
    x, y = torch.randn(6, 3), torch.randint(2, (6, 3)).float()
    p = network(x).sigmoid()
    torch.testing.assert_close(energy(x=x, y=y), -(y * p.log() + (1 - y) * (1 - p).log()).sum(-1))
    cost, slope = energy.value_and_gradient(y, "y", x=x)
    torch.testing.assert_close(cost, energy(x=x, y=y))
    torch.testing.assert_close(slope, -network(x))
    drawn = torch.stack([mend(energy, x) for _ in range(3000)])
    torch.testing.assert_close(drawn.mean(0), p, atol=0.05, rtol=0)


def test_the_network_runs_once_where_only_the_slope_in_y_is_asked():
    network = nn.Linear(3, 3)
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    BitReconstruction(network, Binary(3)).value_and_gradient(torch.zeros(2, 3), "y", x=torch.randn(2, 3))
    assert len(calls) == 1
