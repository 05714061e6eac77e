"""Energies of x alone: pushing down the data makes everything low; each strategy keeps the rest high on the same network."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal

from lowland.energy import Network, Reconstruction
from lowland.inference import Gibbs, Langevin
from lowland.objectives import (
    Adversarial,
    Contracting,
    ContrastiveDivergence,
    Denoising,
    DenoisingScoreMatching,
    EnergyLoss,
    GaussianNoise,
    Guard,
    MaskedPrediction,
    MinimumProbabilityFlow,
    NoiseContrastive,
    PersistentContrastiveDivergence,
    PseudoLikelihood,
    RatioMatching,
    ReplayContrastiveDivergence,
    Saturating,
    ScoreMatching,
    SlicedScoreMatching,
    audit,
)
from lowland.spaces import Binary, Real

LANGEVIN = Langevin(0.02)
WIDE = Independent(Normal(torch.zeros(2), 1.5 * torch.ones(2)), 1)
REAL = [
    ContrastiveDivergence(LANGEVIN, steps=5),
    PersistentContrastiveDivergence(LANGEVIN, steps=5),
    PersistentContrastiveDivergence(LANGEVIN, steps=5, fast_rate=1e-3),
    ReplayContrastiveDivergence(LANGEVIN, steps=5, capacity=500),
    NoiseContrastive(WIDE, ratio=2),
    Adversarial(lambda z: 1.5 * z, dim=2, weight=0.1),
    ScoreMatching(),
    SlicedScoreMatching(),
    DenoisingScoreMatching(0.3),
    Denoising(GaussianNoise(0.3), clean="x"),
]
BITS = [
    ContrastiveDivergence(Gibbs()),
    PersistentContrastiveDivergence(Gibbs(), steps=3, guard=Guard(regularization=0.01)),
    PseudoLikelihood(),
    RatioMatching(),
    MinimumProbabilityFlow(),
    NoiseContrastive(Independent(Bernoulli(torch.full((6,), 0.5)), 1), ratio=2),
]


def name(objective):
    return type(objective).__name__


def trained(energy, objective, batch, steps, rate=0.01):
    optimizer = torch.optim.Adam(energy.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(energy, batch).value.backward()
        optimizer.step()
    return energy


class Squares(nn.Module):
    """Energies ≥ 0, which can be zero everywhere."""

    def __init__(self, dim, width=32):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 8)
        )

    def forward(self, x):
        return self.layers(x).square().sum(-1)


def ring(count=128):
    angle = 2 * math.pi * torch.rand(count)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(count, 2)


def pairs_of_bits(count=128):
    """Six bits, of which the second three repeat the first."""
    return torch.randint(2, (count, 3)).float().repeat(1, 2)


def test_the_naive_loss_makes_everything_low():
    found = audit(trained(Network(Squares(2), x=Real(2)), EnergyLoss(), {"x": ring()}, 300), {"x": ring()})
    assert found.verdict.startswith("collapsed")


@pytest.mark.parametrize("objective", REAL, ids=name)
def test_no_strategy_for_real_numbers_collapses(objective):
    energy = trained(Network(Squares(2), x=Real(2)), objective, {"x": ring()}, 200)
    found = audit(energy, {"x": ring()})
    assert found.auroc_far > 0.8 and found.flatness < 0.95 and found.finite


def test_the_naive_loss_makes_all_bits_low():
    energy = trained(Network(Squares(6), x=Binary(6)), EnergyLoss(), {"x": pairs_of_bits()}, 300)
    assert audit(energy, {"x": pairs_of_bits()}).flatness > 0.99


@pytest.mark.parametrize("objective", BITS, ids=name)
def test_no_strategy_for_bits_collapses(objective):
    energy = trained(Network(Squares(6), x=Binary(6)), objective, {"x": pairs_of_bits()}, 200)
    found = audit(energy, {"x": pairs_of_bits()})
    assert found.auroc_far > 0.85 and found.flatness < 0.7


class Autoencoder(nn.Module):
    """As many hidden units as it likes: with nothing to hold it, it copies. Its weights are tied, so that no decoder undoes a penalty."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Linear(2, 32), nn.Softplus())
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return self.encoder(x) @ self.encoder[0].weight + self.bias


@pytest.mark.parametrize(
    ("objective", "copies"),
    [
        (EnergyLoss(), True),
        (Denoising(GaussianNoise(0.4), spoilt="z"), False),
        (Denoising(GaussianNoise(0.4), walk=3, spoilt="z"), False),
        (MaskedPrediction(spoilt="z"), False),
        (EnergyLoss() + 0.3 * Contracting(name="z"), False),
        (EnergyLoss() + 0.3 * Saturating("relu", name="z"), False),
    ],
    ids=lambda value: name(value) if not isinstance(value, bool) else "",
)
def test_an_autoencoder_that_is_not_held_copies_everything(objective, copies):
    data = ring(256)
    energy = Reconstruction(Autoencoder(), Real(2), Real(2))
    trained(energy, objective, {"y": data, "z": data}, 300, rate=0.02)
    off = 3 * torch.rand(500, 2) - 1.5
    with torch.no_grad():
        error = energy(y=off, z=off).mean()
    assert (error < 0.005) if copies else (error > 0.02)
