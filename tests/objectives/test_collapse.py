"""What each objective pushes, and that the energy does not go flat where a naive one makes it so."""

import pytest
import torch
from torch import nn

from lowland.energy import Function, NetworkTable
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.objectives import (
    LVQ2,
    EnergyLoss,
    Hinge,
    LeastMeanSquares,
    MinimumClassificationError,
    NegativeLogLikelihood,
    Perceptron,
    SquareSquare,
    error_rate,
)
from lowland.spaces import Categorical, Real

SEPARATING = [
    NegativeLogLikelihood(),
    Hinge(),
    SquareSquare(),
    MinimumClassificationError(),
    LeastMeanSquares(),
    EnergyLoss() + 3.0 * Hinge(),
]


class Squared(nn.Module):
    """Non-negative energies of three labels, which can all be zero at once: the net that a naive loss flattens."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, x):
        return self.layers(x).square()


def trained(objective):
    torch.manual_seed(0)
    x = torch.randn(300, 2)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    energy = NetworkTable(Squared(), Real(2), 3, sign=1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        objective(energy, {"x": x, "y": y}).value.backward()
        optimizer.step()
    table = energy.table("y", x=x).detach()
    return (table.argmin(1) == y).float().mean().item(), (table.max(1).values - table.min(1).values).mean().item()


def test_the_naive_loss_makes_everything_low():
    _, spread = trained(EnergyLoss())
    assert spread < 0.05


@pytest.mark.parametrize("objective", SEPARATING, ids=lambda objective: type(objective).__name__)
def test_an_objective_that_pushes_up_does_not_collapse_on_the_same_net(objective):
    accuracy, spread = trained(objective)
    assert accuracy > 0.9 and spread > 0.3


def test_the_perceptron_loss_has_no_margin_and_a_flat_energy_costs_it_nothing():
    flat = Function(lambda x, y: 0 * x, x=Real(), y=Categorical(3))
    assert Perceptron()(flat, {"x": torch.zeros(4), "y": torch.arange(4) % 3}).value == 0


def test_lvq2_has_no_margin_either_and_counts_a_mistake_once():
    flat = Function(lambda x, y: 0 * x + 1, x=Real(), y=Categorical(3))
    batch = {"x": torch.zeros(3), "y": torch.arange(3)}
    assert LVQ2()(flat, batch).value == 0
    steps = Function(lambda x, y: torch.tensor([4.0, 5.0, 40.0])[y] + 0 * x, x=Real(), y=Categorical(3))
    torch.testing.assert_close(LVQ2(delta=0.5)(steps, batch).value, torch.tensor((0 + (5 - 4) / (0.5 * 4) + 1) / 3))
    with pytest.raises(SpaceError, match="delta > 0"):
        LVQ2(delta=0)


def test_values_by_hand():
    energy = Function(lambda x, y: torch.tensor([0.0, 1.0, 3.0])[y] + 0 * x, x=Real(), y=Categorical(3))
    batch = {"x": torch.zeros(2), "y": torch.tensor([1, 0])}
    z = torch.tensor([0.0, -1.0, -3.0]).logsumexp(0)
    sigmoid = torch.sigmoid(torch.tensor([1.0, -1.0])).mean()
    for objective, wanted in [
        (EnergyLoss(), 0.5),
        (Perceptron(), 0.5),
        (Hinge(margin=0.5), (0.5 + 1.0) / 2),
        (SquareSquare(margin=2.0), ((1 + 4) + (0 + 1)) / 2),
        (MinimumClassificationError(), sigmoid),
        (NegativeLogLikelihood(), 0.5 + z),
        (2.0 * Perceptron() + EnergyLoss(), 1.5),
    ]:
        torch.testing.assert_close(objective(energy, batch).value, torch.as_tensor(wanted, dtype=torch.float32))
    parts = Perceptron()(energy, batch).parts
    assert parts["error"] == 0.5


def test_objectives_refuse_what_they_can_not_judge():
    energy = Function(lambda x, y: x * y, x=Real(), y=Real())
    with pytest.raises(StructureError, match="wanted a Categorical"):
        Hinge()(energy, {"x": torch.zeros(2), "y": torch.zeros(2)})
    with pytest.raises(VariableError, match="has x but not y"):
        Hinge()(energy, {"x": torch.zeros(2)})
    with pytest.raises(StructureError, match="no variable label"):
        Hinge("label")(energy, {"x": torch.zeros(2), "y": torch.zeros(2)})


def test_the_error_rate_counts_wrong_answers_in_any_chunks():
    energy = Function(lambda x, y: (x - y).abs(), x=Real(), y=Categorical(3))
    batch = {"x": torch.tensor([0.1, 0.9, 2.2, 1.4, 1.6]), "y": torch.tensor([0, 1, 1, 1, 1])}
    for rows in (1, 2, 5, 1000):
        assert error_rate(energy, batch, rows=rows) == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    "objective", [*SEPARATING, Perceptron(), LVQ2()], ids=lambda objective: type(objective).__name__
)
@pytest.mark.parametrize("label", [3, -1])
def test_labels_outside_the_space_are_refused_by_name_and_place(objective, label):
    energy, batch = NetworkTable(nn.Linear(2, 3), Real(2), 3), {"x": torch.zeros(2, 2), "y": torch.tensor([0, label])}
    for judge in (objective, error_rate):
        with pytest.raises(
            SpaceError, match=rf"y: wanted integers from 0 to 2 for Categorical\(3\), got {label} at index \(1,\)"
        ):
            judge(energy, batch)
