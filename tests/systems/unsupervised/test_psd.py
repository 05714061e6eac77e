"""Guesses are judged by what they cost beside optimal codes, and paired LeNets begin alike but for their first filters."""

import pytest
import torch

from lowland.nets import SmoothShrinkage
from lowland.spaces import Real
from lowland.system import find
from lowland.systems.unsupervised import psd


def patches_energy():
    return psd.predictive(12, 20, 0.3, 5.0, SmoothShrinkage(20, threshold=0.15), Real(20))


def test_an_optimal_code_owes_nothing_to_the_encoder():
    energy, y = patches_energy(), torch.randn(6, 12)
    before = psd.optimal(energy, y)
    with torch.no_grad():
        psd._encoder(energy).linear.weight.mul_(-3)
    torch.testing.assert_close(psd.optimal(energy, y), before)
    _, slope = psd.sparse(energy).terms[0].given(y=y).value_and_gradient(before)
    assert slope.abs().max() <= 0.3 + 1e-2  # no atom correlates with what is left by more than λ


def test_a_guess_is_compared_with_the_optimum():
    energy, y = patches_energy(), torch.randn(50, 12)
    found = psd.predicted(energy, y)
    assert found["more_energy"] > 0 and found["code_error"] > 0 and found["speedup"] > 0
    assert 0 < found["nonzeros"] <= 12


def test_the_nets_of_a_pair_differ_in_the_first_filters_alone():
    model = psd.build(find("psd").configure("smoke"))
    psd._begin(model, 0)
    strokes, random = (dict(model[f"lenet_{begun}_0"].named_parameters()) for begun in ("strokes", "random"))
    differ = [name for name in strokes if not torch.equal(strokes[name], random[name])]
    assert differ == ["network.layers.C1.0.weight"]
    lengths = [net["network.layers.C1.0.weight"].flatten(1).norm(dim=1).mean() for net in (strokes, random)]
    torch.testing.assert_close(*lengths)


def test_codes_of_digits_are_not_negative():
    model = psd.build(find("psd").configure("smoke"))
    images = torch.rand(3, 28, 28)
    assert all((psd.codes(model["digits"], images, kind) >= 0).all() for kind in ("guessed", "optimal"))


def test_a_folder_of_pictures_becomes_whitened_patches(tmp_path):
    from PIL import Image

    Image.fromarray((255 * torch.rand(40, 44)).byte().numpy()).save(tmp_path / "a.png")
    y = psd.read([str(tmp_path / "a.png")], psd.Config())["y"]
    assert y.shape == (6, 144)  # 32 × 36 pixels are left
    assert y.mean(1).abs().max() < 1e-5


@pytest.mark.parametrize("like", ["noise", "waves"])
def test_noise_is_not_oriented_and_a_wave_packet_is(like):
    u = torch.arange(12.0) - 5.5
    packet = (-(u[:, None].square() + u.square()) / 8).exp() * (1.5 * u).cos()
    assert psd.gabor_like(torch.randn(4, 12, 12) if like == "noise" else packet[None]) == (
        0 if like == "noise" else 100
    )
