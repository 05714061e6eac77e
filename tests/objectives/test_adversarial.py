"""Two players: the energy learns to tell, the generator to deceive, and what is made ends where the data are."""

import pytest
import torch
from torch import nn

from lowland.energy import Function, Network
from lowland.errors import SpaceError
from lowland.objectives import Adversarial
from lowland.spaces import Real
from lowland.train import Player, Trainer


def test_values_by_hand():
    energy = Function(lambda x: x.sum(-1), x=Real(1))
    adversarial = Adversarial(lambda z: torch.full_like(z, 2.0), dim=1, weight=3.0)
    value = adversarial(energy, {"x": torch.zeros(4, 1)}).value
    torch.testing.assert_close(value, torch.tensor(2.0).log() + torch.tensor(-2.0).exp().log1p() + 0.5 * 3.0)
    torch.testing.assert_close(
        adversarial.deceive(energy, {"x": torch.zeros(4, 1)}).value, torch.tensor(2.0).exp().log1p()
    )


def test_each_loss_moves_its_own_player():
    generator, energy = nn.Linear(2, 2), Network.example()
    adversarial, batch = Adversarial(generator, dim=2), {"x": torch.randn(8, 2)}
    adversarial(energy, batch).value.backward()
    assert all(parameter.grad is None for parameter in generator.parameters())
    adversarial.deceive(energy, batch).value.backward()
    assert all(bool(parameter.grad.abs().sum() > 0) for parameter in generator.parameters())


def test_two_players_find_the_mean_of_the_data():
    torch.manual_seed(0)
    energy = Network(nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)), x=Real(1))
    generator = nn.Linear(1, 1)
    adversarial = Adversarial(generator, dim=1)
    players = [
        Player("energy", energy, lambda batch: adversarial(energy, batch), lambda p: torch.optim.Adam(p, 0.02)),
        Player(
            "generator",
            generator,
            lambda batch: adversarial.deceive(energy, batch),
            lambda p: torch.optim.Adam(p, 0.02),
        ),
    ]
    Trainer(energy, seed=0, shown=False).fit(
        "game", players, {"x": 3 + 0.5 * torch.randn(512, 1)}, steps=400, batch_size=128
    )
    made = adversarial.generate(torch.zeros(2000, 1))
    assert made.mean().item() == pytest.approx(3, abs=0.4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpaceError, match="wanted the generator to make"):
        Adversarial(nn.Linear(2, 3), dim=2)(Network.example(), {"x": torch.zeros(4, 2)})
    with pytest.raises(SpaceError, match="weight"):
        Adversarial(nn.Linear(2, 2), dim=2, weight=-1.0)
