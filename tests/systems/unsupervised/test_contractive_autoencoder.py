"""What is particular to the contractive autoencoders of the gallery; that they run at all is tested with the gallery."""

import pytest
import torch

from lowland.objectives import auroc
from lowland.systems.unsupervised.contractive_autoencoder import (
    SIDE,
    Config,
    build,
    directions,
    embed,
    encoder,
    heights,
    read,
    spectrum,
    strangers,
)


@pytest.fixture
def model():
    return build(Config(hidden=12, deep=(20, 10))).eval()


@pytest.mark.parametrize("name", ["higher_order", "clip", "deep"])
def test_the_spectrum_is_that_of_the_jacobian(model, name):
    part, x = encoder(model[name]).double(), torch.rand(2, SIDE, SIDE, dtype=torch.double)
    for image, squares in zip(x, spectrum(part, x), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda one: part(one[None])[0], image).flatten(1)
        torch.testing.assert_close(squares, torch.linalg.svdvals(jacobian).square())


def test_directions_are_those_that_carry_nine_tenths():
    squares = torch.tensor([[8.0, 1.5, 0.5, 0.0], [1.0, 1.0, 1.0, 1.0], [10.0, 0.0, 0.0, 0.0]])
    assert directions(squares[:1]) == 2
    assert directions(squares[1:2]) == 4
    assert directions(squares) == pytest.approx((2 + 4 + 1) / 3)


def test_the_energy_is_the_way_to_the_reconstruction(model):
    x = torch.rand(5, SIDE, SIDE)
    for name, squash in [("plain", torch.sigmoid), ("shrink", lambda r: r)]:
        layer = encoder(model[name])
        network = model[name].network if name == "shrink" else model[name].network[0]
        h = layer(x)
        torch.testing.assert_close(embed(model[name], {"x": x}), h)
        r = squash(h @ layer.weight + network.bias).reshape(x.shape)
        torch.testing.assert_close(heights(model[name], x), (x - r).square().sum((1, 2)))


def test_strangers_are_told_by_nothing_but_their_shape():
    like = torch.rand(60, SIDE, SIDE).pow(5)
    strange, _ = strangers(Config(letters="noise", strange=60), like, torch.Generator().manual_seed(0))
    for x in strange.values():
        assert torch.equal(
            x.flatten(1).sort(1).values.sum(1).sort().values, like.flatten(1).sort(1).values.sum(1).sort().values
        )
        assert auroc(like.sum((1, 2)), x.sum((1, 2))) == pytest.approx(0.5, abs=1e-3)


def test_a_picture_is_framed_as_a_digit(tmp_path):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 1
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    x = read([str(tmp_path / "one.png")], Config())["x"]
    assert x.shape == (1, SIDE, SIDE) and x[0, 13, 13] > 0.9 and x[0, :3].max() == 0
