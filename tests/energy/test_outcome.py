"""What comes of what is seen: surprise where it comes otherwise, and a z for what nobody saw."""

import pytest
import torch
from torch import nn

from lowland.energy import Outcome
from lowland.errors import SpaceError, StructureError
from lowland.inference import infer
from lowland.objectives import LatentPrediction
from lowland.spaces import Labels, Real


class Doubled(nn.Module):
    """2s, moved by z where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(2))

    def forward(self, s, z=None):
        return 2 * s if z is None else 2 * s + z @ self.weight


class Sees(nn.Module):
    """z as it must have been, for a small noise."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Parameter(torch.full((2,), -2.0))

    def forward(self, s, y):
        return torch.cat([y - 2 * s, self.spread.expand(len(s), 2)], 1)


def test_surprise_is_where_it_is_not_as_expected_and_they_sum_to_the_energy():
    energy = Outcome(Doubled(), Real(2), Real(2), noise=0.5)
    s = torch.tensor([[1.0, -1.0]])
    y = torch.tensor([[2.0, -1.0]])
    torch.testing.assert_close(energy.surprise(s, y), torch.tensor([[0.0, 0.5 * (1 / 0.5) ** 2]]))
    assert energy(s=s, y=y).item() == pytest.approx(2.0)


def test_labels_are_nats_of_their_log_odds():
    network = nn.Sequential(nn.Linear(3, 24), nn.Unflatten(1, (4, 3, 2)))
    energy = Outcome(network, Real(3), Labels(4, 3, 2))
    s = torch.randn(5, 3)
    every = torch.stack([energy.surprise(s, torch.full((5, 3, 2), label)) for label in range(4)])
    torch.testing.assert_close((-every).exp().sum(0), torch.ones(5, 3, 2))


def test_minimising_z_out_finds_the_most_fitting_future():
    energy = Outcome(Doubled(), Real(2), Real(2), Sees(), 2, noise=0.1)
    s, y = torch.randn(4, 2), torch.randn(4, 2)
    found = infer(energy, "z", s=s, y=y)
    best = (y - 2 * s) / (1 + 0.1**2)
    torch.testing.assert_close(found.value, best, atol=1e-3, rtol=1e-3)
    assert (found.energy < energy(s=s, y=y, z=torch.zeros(4, 2))).all()


def test_latent_prediction_trains_it():
    energy = Outcome(Doubled(), Real(2), Real(2), Sees(), 2, noise=0.5)
    s = torch.randn(64, 2)
    loss = LatentPrediction(dropout=0.0)(energy, {"s": s, "y": 2 * s + torch.randn(64, 2)})
    loss.value.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in energy.parameters())
    assert {"prediction", "divergence"} == loss.parts.keys()


@pytest.mark.parametrize("options", [{"noise": 0.0}, {"z": 2}, {"encoder": Sees()}, {"encoder": Sees(), "z": -1}])
def test_what_does_not_fit_together_is_refused(options):
    with pytest.raises(SpaceError, match="Outcome: wanted"):
        Outcome(Doubled(), Real(2), Real(2), **options)


def test_there_is_nothing_to_guess_without_a_z():
    with pytest.raises(StructureError, match="with a z"):
        Outcome(Doubled(), Real(2), Real(2)).belief(torch.zeros(1, 2), torch.zeros(1, 2))
