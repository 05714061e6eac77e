"""What is particular to the what-where autoencoder: that it runs at all is tested with the gallery."""

import pytest
import torch

from lowland import infer
from lowland.energy import NetworkTable
from lowland.systems.unsupervised.what_where import SIDE, Config, _shown, build, half_told, image_error, returned

SMALL = Config(channels=(3, 4), kernels=(5, 3), image_weight=2.0, between_weight=0.5)


@pytest.fixture
def model() -> torch.nn.ModuleDict:
    return build(SMALL).eval()


def test_an_image_without_a_label_has_the_reconstruction_alone(model):
    x, energy = torch.rand(5, SIDE, SIDE), model["what_where"]
    views = energy.network.net.views(x)
    missed = [(up - down).square().flatten(1).mean(1) for up, down in zip(views.up[:-1], views.down, strict=True)]
    torch.testing.assert_close(energy.marginalize("y")(x=x), 2.0 * missed[0] + 0.5 * missed[1])
    assert (infer(energy, "y", x=x).value == views.odds.argmax(1)).all()


def test_minimised_out_a_label_adds_what_is_lacking_for_it_to_be_sure(model):
    x, energy = torch.rand(5, SIDE, SIDE), model["what_where"]
    told = {"x": x, "y": torch.arange(5)}
    values = [half_told(energy, {"x": x}, told, least).value for least in (False, True)]
    sure = energy.network.net(x).softmax(1).amax(1)
    torch.testing.assert_close(values[1] - values[0], -sure.log().mean())


def test_each_energy_lacks_one_part(model):
    x = torch.rand(5, SIDE, SIDE)
    whole = model["what_where"]
    for name in ("image_only", "what"):
        model[name].load_state_dict(whole.state_dict())
    views = whole.network.net.views(x)
    between = 0.5 * (views.up[1] - views.down[1]).square().flatten(1).mean(1)
    free = {name: model[name].marginalize("y")(x=x) for name in ("what_where", "image_only", "what")}
    torch.testing.assert_close(free["what_where"] - free["image_only"], between)
    assert not torch.allclose(free["what"], free["what_where"])
    for name in ("no_image", "supervised"):
        assert isinstance(model[name], NetworkTable) and not list(model[name].network.down.parameters())
    assert half_told(model["no_image"], {"x": x}, {"x": x, "y": torch.arange(5)}, least=True).value > 0


def test_labels_and_images_both_teach_the_convolutions(model):
    x, energy = torch.rand(10, SIDE, SIDE), model["what_where"].train()
    loss = half_told(energy, {"x": x}, {"x": x, "y": torch.arange(10)}, least=True)
    loss.value.backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())
    assert loss.value.item() == pytest.approx(loss.parts["told"].item() + loss.parts["untold"].item(), rel=1e-5)


def test_the_error_of_the_mean_image_is_everything(model, monkeypatch):
    x = torch.rand(20, SIDE, SIDE)
    assert returned(model["what_where"], x).shape == x.shape
    monkeypatch.setattr("lowland.systems.unsupervised.what_where.returned", lambda energy, x: x.mean(0).expand_as(x))
    assert image_error(model["what_where"], x) == pytest.approx(100)


def test_maps_are_shown_as_large_as_the_images():
    maps = torch.rand(3, 7, 7)
    shown = _shown(maps)
    assert shown.shape == (3, SIDE, SIDE)
    torch.testing.assert_close(shown.amax((1, 2)), torch.ones(3))
