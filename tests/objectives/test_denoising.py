"""Corruption spoils as much as it says; denoising mends; its chain draws from the data."""

import pytest
import torch
from torch import nn

from lowland.energy import Energy, Function, Reconstruction
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.objectives import Denoising, GaussianNoise, Mask, MaskedPrediction, SaltAndPepper, mend, walk_back
from lowland.spaces import Binary, Real


class Bits(Energy):
    """Cross entropy of y with the probabilities that a linear map of x gives."""

    def __init__(self):
        super().__init__(x=Binary(3), y=Binary(3))
        self.map = nn.Linear(3, 3)

    def energies(self, x, y):
        return -(y * self.map(x) - nn.functional.softplus(self.map(x))).sum(-1)


def test_corruptions_spoil_a_copy_as_much_as_they_say():
    x = torch.full((200, 50), 0.5)
    salted = SaltAndPepper(0.4)(x)
    assert (salted == 0).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (salted == 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (Mask(0.3, value=-1.0)(x) == -1).float().mean() == pytest.approx(0.3, abs=0.02)
    assert (GaussianNoise(0.7)(x) - x).std() == pytest.approx(0.7, abs=0.02)
    assert bool((x == 0.5).all())
    first, second = (GaussianNoise(1.0)(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert bool((first == second).all())
    with pytest.raises(SpaceError, match="fraction from 0 to 1"):
        Mask(1.2)
    with pytest.raises(SpaceError, match="sigma > 0"):
        GaussianNoise(0.0)


def test_the_energy_of_two_variables_is_told_the_spoilt_sample_and_judged_on_the_clean_one():
    told = []
    energy = Function(lambda x, y: (told.append(x), y.sum(-1))[1], x=Real(2), y=Real(2))
    y = torch.randn(5, 2)
    loss = Denoising(Mask(1.0, value=9.0))(energy, {"y": y})
    torch.testing.assert_close(loss.value, y.sum(-1).mean())
    assert bool((told[0] == 9).all())


def test_a_linear_autoencoder_learns_the_best_linear_mend():
    x = torch.randn(4000, 3) * torch.tensor([2.0, 1.0, 0.1])
    energy = Reconstruction(nn.Linear(3, 3), Real(3), Real(3))
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        Denoising(GaussianNoise(0.5), spoilt="z")(energy, {"y": x}).value.backward()
        optimizer.step()
    variance = x.var(0)
    torch.testing.assert_close(energy.decoder.weight.data, (variance / (variance + 0.25)).diag(), atol=0.06, rtol=0)


def test_an_energy_of_one_variable_mends_by_its_slope():
    x = torch.randn(50, 2)
    exact = Function(lambda x: 0.5 * x.square().sum(-1) / 1.25, x=Real(2))  # data blurred by ½: variance 1.25
    torch.manual_seed(0)
    value = Denoising(GaussianNoise(0.5), clean="x")(exact, {"x": x}).value
    torch.manual_seed(0)
    spoilt = GaussianNoise(0.5)(x)
    torch.testing.assert_close(value, 0.5 * (spoilt - 0.25 * spoilt / 1.25 - x).square().sum(-1).mean())


def test_walking_back_spoils_what_was_mended():
    told = []
    away = Function(lambda x, y: (told.append(x), 0.5 * (y - x - 1).square().sum(-1))[1], x=Real(1), y=Real(1))
    Denoising(GaussianNoise(1e-6), walk=3)(away, {"y": torch.zeros(2, 1)})
    means = [x.mean().item() for x in told]
    assert means == pytest.approx([0, 0, 1, 1, 2], abs=1e-4)  # judged at 0, mended to 1, judged there …


def test_the_chain_of_a_trained_model_draws_from_the_data():
    data = torch.randn(3000, 1)
    sigma = 0.7
    # given the spoilt sample, the clean one has mean x̃ / (1 + σ²); adding that posterior's spread makes the chain exact
    energy = Function(lambda x, y: 0.5 * (y - x / (1 + sigma**2)).square().sum(-1), x=Real(1), y=Real(1))
    chain = walk_back(energy, GaussianNoise(sigma), data, 20)
    assert chain.shape == (20, 3000, 1)
    # the means of clean samples have variance v with v = (v + σ²) / (1 + σ²)²
    wanted = sigma**2 / ((1 + sigma**2) ** 2 - 1)
    assert chain[-1].var().item() == pytest.approx(wanted, rel=0.1)


def test_bits_are_mended_by_their_probabilities():
    energy = Bits()
    with torch.no_grad():
        energy.map.weight.zero_()
        energy.map.bias.copy_(torch.tensor([-2.0, 0.0, 2.0]))
    drawn = mend(energy, torch.zeros(4000, 3))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([-2.0, 0.0, 2.0]).sigmoid(), atol=0.03, rtol=0)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}


def test_masked_prediction_counts_hidden_entries_only():
    energy = Reconstruction(nn.Identity(), Real(4), Real(4))
    y = torch.full((100, 4), 2.0)
    loss = MaskedPrediction(Mask(0.5), spoilt="z")(energy, {"y": y})
    torch.testing.assert_close(loss.value, torch.tensor(2.0))  # 0 was answered where 2 was hidden, the rest is right
    bits, x = Bits(), torch.ones(50, 3)
    with torch.no_grad():
        bits.map.weight.zero_()
        bits.map.bias.fill_(1.5)
    torch.testing.assert_close(MaskedPrediction()(bits, {"y": x}).value, torch.tensor(1.5).sigmoid().log().neg())


def test_bad_input_is_refused():
    energy = Reconstruction.example()
    with pytest.raises(VariableError, match="but not y"):
        Denoising()(energy, {"x": torch.zeros(2, 3)})
    with pytest.raises(StructureError, match="say clean"):
        Denoising(clean="image")(energy, {"image": torch.zeros(2, 3)})
    with pytest.raises(StructureError, match="no variable x that is told"):
        MaskedPrediction()(energy, {"y": torch.zeros(2, 3)})
    with pytest.raises(SpaceError, match="zeros and ones"):
        Denoising()(Bits(), {"y": torch.full((2, 3), 0.5)})
