"""Penalties on embeddings: contraction, saturation, variance and covariance, by hand."""

import pytest
import torch
from torch import nn

from lowland.energy import Energy, Function
from lowland.errors import SpaceError, StructureError
from lowland.nets import UnitLayer
from lowland.objectives import (
    Contracting,
    ContrastivePairs,
    EnergyLoss,
    InfoNCE,
    Saturating,
    Triplet,
    VarianceCovariance,
)
from lowland.spaces import Real


class Embedded(Energy):
    """½‖f(x) − f(y)‖²."""

    def __init__(self, encoder, dim=3):
        super().__init__(x=Real(dim), y=Real(dim))
        self.encoder = encoder

    def energies(self, x, y):
        return 0.5 * (self.encoder(x) - self.encoder(y)).square().sum(-1)


class Squares(nn.Module):
    """h = x²."""

    def forward(self, x):
        return x.square()


def batch(count=50, dim=3):
    x = torch.randn(count, dim)
    return {"x": x, "y": x + 0.1 * torch.randn(count, dim)}


def test_the_contraction_of_a_linear_map_is_its_squared_length_and_it_does_not_bend():
    energy = Embedded(nn.Linear(3, 4))
    loss = Contracting(second=1.0)(energy, batch())
    torch.testing.assert_close(loss.value, energy.encoder.weight.square().sum())
    assert loss.parts["jacobian_change"] < 1e-8


def test_the_contraction_of_a_sigmoid_layer_is_rifais_closed_form():
    energy, values = Embedded(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())), batch()
    h = energy.encoder(values["x"])
    wanted = ((h * (1 - h)).square() @ energy.encoder[0].weight.square().sum(1)).mean()
    torch.testing.assert_close(Contracting()(energy, values).value, wanted)
    guesses = torch.stack([Contracting(draws=3)(energy, values).value for _ in range(200)])
    assert abs(guesses.mean() - wanted) < 4 * guesses.std() / 200**0.5


@pytest.mark.parametrize("unit", ["sigmoid", "shrink"])
def test_a_layer_of_units_needs_no_pass_backward(unit):
    layer, values = UnitLayer(3, 5, unit), batch()
    energy = Embedded(layer)
    torch.manual_seed(1)
    closed = Contracting(second=0.5)(energy, values)
    torch.manual_seed(1)
    by_hand = Contracting(second=0.5, encoder=lambda x: layer(x))(energy, values)
    torch.testing.assert_close(closed.value, by_hand.value)
    torch.testing.assert_close(closed.parts, by_hand.parts)


def test_the_change_of_the_jacobian_is_the_second_derivative():
    energy = Embedded(Squares())
    loss = Contracting(second=1.0, sigma=0.01)(energy, batch(4000))
    assert loss.parts["jacobian_change"].item() == pytest.approx(4 * 3, rel=0.1)  # ∂h_d/∂x_d = 2 x_d


def test_saturation_measures_the_way_to_where_a_unit_is_flat():
    energy = Embedded(nn.Identity())
    x = torch.tensor([[-2.0, 0.3, 1.5], [0.5, -0.1, 0.9]])
    for unit, wanted in [("relu", (1.8 + 1.4) / 2), ("clip", (0.3 + 0.6) / 2), ("shrink", (1.0 + 0.5) / 2)]:
        assert Saturating(unit)(energy, {"x": x, "y": x}).value.item() == pytest.approx(wanted)
    with pytest.raises(SpaceError, match="unit among relu, clip, shrink"):
        Saturating("tanh")


def test_variance_and_covariance_by_hand():
    h = torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    energy = Embedded(nn.Identity(), dim=2)
    parts = VarianceCovariance(spread=1.5)(energy, {"x": h, "y": h}).parts
    assert parts["variance"].item() == pytest.approx((0.5 + 0.0) / 2, abs=1e-3)
    assert parts["covariance"].item() == pytest.approx(2 * 2.0**2 / 2)
    with pytest.raises(SpaceError, match="at least 2 samples"):
        VarianceCovariance()(energy, {"x": h[:1], "y": h[:1]})


def spread(objective):
    """The smallest standard deviation among the dimensions of an embedding trained on pairs."""
    torch.manual_seed(0)
    energy = Embedded(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)))
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.02)
    for _ in range(200):
        values = batch()
        same, other = torch.rand(len(values["x"])) < 0.5, torch.randn_like(values["x"])
        if isinstance(objective, ContrastivePairs):
            values["y"] = torch.where(same.unsqueeze(-1), values["y"], other)
        optimizer.zero_grad()
        objective(energy, {**values, "same": same, "other": other}).value.backward()
        optimizer.step()
    return energy.encoder(batch(500)["x"]).std(0).min().item()


def test_pulling_together_alone_makes_all_embeddings_alike():
    assert spread(EnergyLoss()) < 0.05


@pytest.mark.parametrize(
    "objective",
    [EnergyLoss() + 5.0 * VarianceCovariance(), InfoNCE(), InfoNCE(queue=50), Triplet(), ContrastivePairs()],
    ids=lambda objective: type(objective).__name__,
)
def test_what_pushes_apart_as_well_does_not_collapse(objective):
    assert spread(objective) > 0.3


def test_the_encoder_must_be_found():
    bare = Function(lambda x, y: (x - y).square().sum(-1), x=Real(3), y=Real(3))
    with pytest.raises(StructureError, match="one part called encoder, found 0"):
        Contracting()(bare, batch())
    assert Contracting(encoder=lambda x: 2 * x)(bare, batch()).value == 4 * 3
    assert VarianceCovariance(encoder=lambda x: 0 * x)(bare, batch()).value > 0.9
