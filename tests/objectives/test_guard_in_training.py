"""A chain that runs away in the middle of a training stops it, and nothing is lost."""

import pytest
import torch
from torch import nn

from lowland.energy import Energy
from lowland.errors import DivergenceError
from lowland.inference import Langevin
from lowland.objectives import Guard, PersistentContrastiveDivergence
from lowland.spaces import Real
from lowland.train import Player, Trainer


class Parabola(Energy):
    """½ k x²: without a bottom where k < 0."""

    def __init__(self):
        super().__init__(x=Real(1))
        self.k = nn.Parameter(torch.ones(()))

    def energies(self, x):
        return 0.5 * self.k * x.square().sum(-1)


def player(energy, objective, spoil):
    def loss(batch):
        if objective.guard.step == spoil:
            energy.k.data.fill_(-1e6)
        return objective(energy, batch)

    return Player("k", energy, loss, lambda p: torch.optim.SGD(p, lr=0.01), memory={"chains": objective})


def test_training_stops_with_step_and_energy_and_goes_on_from_its_checkpoint(tmp_path):
    x = {"x": torch.randn(64, 1)}
    objective, energy = PersistentContrastiveDivergence(Langevin(0.01), guard=Guard(rollbacks=0)), Parabola()
    trainer = Trainer(energy, seed=0, run=tmp_path, shown=False)
    trainer.fit("first", player(energy, objective, -1), x, steps=10, batch_size=32)
    with pytest.raises(
        DivergenceError, match=r"training step 18, with energy .* the weights are those of step 1 again.*Continue with"
    ):
        trainer.fit("second", player(energy, objective, 17), x, steps=20, batch_size=32)
    assert 0 < energy.k < 2

    fresh = Parabola()
    again = Trainer(fresh, seed=0, run=tmp_path, shown=False, resume=True)
    memory = PersistentContrastiveDivergence(Langevin(0.01))
    again.fit("first", player(fresh, memory, -1), x, steps=10, batch_size=32)
    again.fit("second", player(fresh, memory, -1), x, steps=20, batch_size=32)
    assert 0 < fresh.k < 2


def test_weights_go_back_and_training_goes_on():
    x = {"x": torch.randn(64, 1)}
    objective, energy = PersistentContrastiveDivergence(Langevin(0.01)), Parabola()
    Trainer(energy, seed=0, shown=False).fit("one", player(energy, objective, 7), x, steps=20, batch_size=32)
    assert objective.guard.step == 20 and 0 < energy.k < 2
