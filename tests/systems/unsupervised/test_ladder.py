"""What is particular to the ladder: one energy of labels and layers. That it runs at all is tested with the gallery."""

import pytest
import torch

from lowland import infer, posterior
from lowland.energy import NetworkTable
from lowland.errors import UsageError
from lowland.objectives import EnergyLoss
from lowland.systems.unsupervised.ladder import SIDE, Config, LadderCosts, build, cleaned, half_told, noise_left

SMALL = Config(hidden=(20, 12), weights=(10.0, 1.0, 0.1, 0.1))


@pytest.fixture
def energy() -> NetworkTable:
    ladder = build(SMALL)["ladder"]
    for _ in range(5):
        ladder(x=torch.rand(50, SIDE, SIDE), y=torch.randint(10, (50,)))  # statistics
    return ladder.eval()


def test_an_image_without_a_label_has_the_reconstruction_alone(energy):
    x = torch.rand(6, SIDE, SIDE)
    found = energy.network.net.restored(x)
    layers = sum(energy.network.weights[layer] * error for layer, error in found.errors.items())
    torch.testing.assert_close(energy.marginalize("y")(x=x), layers)
    y = torch.arange(6)
    torch.testing.assert_close(
        energy(x=x, y=y), layers + torch.nn.functional.cross_entropy(energy.network.net(x), y, reduction="none")
    )


def test_the_answer_is_what_the_encoder_says(energy):
    x = torch.rand(8, SIDE, SIDE)
    assert (infer(energy, "y", x=x).value == energy.network.net(x).argmax(1)).all()
    torch.testing.assert_close(posterior(energy, "y", x=x), energy.network.net(x).softmax(1))


def test_the_three_energies_differ_in_how_far_down_they_restore():
    model = build(SMALL)
    depth = {name: len(energy.network.net.combinators) for name, energy in model.items()}
    assert depth == {"ladder": 4, "gamma": 1, "supervised": 0}


def test_labels_and_layers_both_teach_the_encoder(energy):
    x, y = torch.rand(40, SIDE, SIDE), torch.arange(10)
    energy.train()
    loss = half_told(energy, {"x": x}, {"x": x[:10], "y": y})
    loss.value.backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())
    assert loss.value.item() == pytest.approx(loss.parts["told"].item() + loss.parts["untold"].item(), rel=1e-5)


def test_where_every_label_is_known_the_loss_is_the_energy(energy):
    x, y = torch.rand(10, SIDE, SIDE), torch.arange(10)
    loss = half_told(energy, {"x": x}, {"x": x, "y": y})
    torch.testing.assert_close(loss.value, EnergyLoss()(energy, {"x": x, "y": y}).value)


def test_looking_at_noise_leaves_the_statistics_as_they_were(energy):
    before = {name: held.clone() for name, held in energy.state_dict().items()}
    assert cleaned(energy, torch.rand(30, SIDE, SIDE)).shape == (30, SIDE, SIDE)
    assert noise_left(energy, torch.rand(30, SIDE, SIDE)).keys() == {0, 1, 2, 3}
    assert not energy.network.net.training and energy.network.net.noise == 0.3
    assert all((before[name] == held).all() for name, held in energy.state_dict().items())


def test_a_weight_is_wanted_for_each_layer():
    with pytest.raises(UsageError, match="each of the 3 layers"):
        LadderCosts((SIDE * SIDE, 5, 10), 0.3, (1.0, 1.0))
