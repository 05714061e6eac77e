"""What is particular to vector quantisation; that it runs at all is tested with the gallery."""

import math

import pytest
import torch

from lowland.systems.unsupervised.vector_quantisation import (
    GRID,
    NAMES,
    SIDE,
    Config,
    _noise,
    bits,
    build,
    codes,
    embed,
    error,
    frequencies,
    read,
)

CONFIG = Config(sizes=(2, 3, 5, 5), dim=3, channels=4)


@pytest.fixture
def energy():
    torch.manual_seed(0)
    return build(CONFIG)["fine"]


def test_each_book_has_its_size():
    torch.manual_seed(0)
    model = build(CONFIG)
    assert [len(model[name].codebook.W) for name in NAMES] == [2, 3, 5, 5]


def test_an_image_becomes_a_code_and_a_code_an_image(energy):
    x = torch.rand(6, SIDE, SIDE)
    z = codes(energy, x)
    assert z.shape == (6, GRID * GRID) and z.min() >= 0 and z.max() < 5
    made = energy.decode(z)
    assert made.shape == x.shape
    assert error(energy, x) == pytest.approx((made - x).square().mean().item(), rel=1e-5)


def test_a_place_sees_its_own_part_of_the_picture(energy):
    x = torch.rand(1, SIDE, SIDE)
    changed = x.clone()
    changed[:, :8, :8] = 1 - changed[:, :8, :8]
    features = energy.encoder(x) - energy.encoder(changed)
    moved = (
        features.abs().sum(-1).reshape(GRID, GRID)
    )  # a little everywhere: the layers' scale is that of the whole picture
    assert moved[:2, :2].min() > 5 * max(moved[4:].max(), moved[:, 4:].max())


def test_bits_are_what_a_coder_of_places_would_write():
    z = torch.tensor([[0, 1], [0, 0], [0, 1], [1, 1]])
    often = frequencies(z, 2)
    torch.testing.assert_close(often, torch.tensor([[4 / 6, 2 / 6], [2 / 6, 4 / 6]], dtype=torch.float64))
    wanted = -(math.log2(4 / 6) + math.log2(4 / 6))
    assert bits(torch.tensor([[0, 1]]), often) == pytest.approx(wanted)


def test_shuffled_pixels_are_the_same_pixels():
    x = torch.rand(3, SIDE, SIDE)
    noise = _noise(x)
    assert not (noise == x).all()
    assert torch.equal(noise.flatten(1).sort(1).values, x.flatten(1).sort(1).values)


def test_an_image_is_embedded_by_its_codewords(energy):
    x = torch.rand(2, SIDE, SIDE)
    found = embed(energy, {"x": x})
    torch.testing.assert_close(found.reshape(2, -1, 3), energy.codebook.W[energy.code(x)])


def test_a_picture_of_a_digit_is_framed(tmp_path):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 1
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    for images in ("mnist", "folder"):
        x = read([str(tmp_path / "one.png")], Config(images=images))["x"]
        assert x.shape == (1, SIDE, SIDE)
        assert x[0, SIDE // 2, SIDE // 2] > 0.9 and x[0, 0, 0] < 0.1
