"""What is particular to the variational auto-encoders of the gallery; that they run at all is tested with the gallery."""

from dataclasses import replace

import pytest
import torch

from lowland import Partial
from lowland.systems.unsupervised.vae import SIDE, Config, _start, binarised, build, data, embed, fill, judge, read

CONFIG = Config(images="digits", hidden=16, decoder_hidden=16, latent=3, half=False)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def energy():
    torch.manual_seed(0)
    return build(CONFIG)["iwae"]


def test_the_test_images_are_binarised_by_one_fixed_draw():
    found, again = data(CONFIG), data(CONFIG)
    assert set(found.test["x"].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found.test["x"], again.test["x"])
    assert ((found.train["x"] > 0) & (found.train["x"] < 1)).any()  # drawn anew in every batch


def test_a_pixel_is_on_as_often_as_it_is_bright(generator):
    grey = torch.tensor([0.0, 0.2, 0.7, 1.0])
    bits = binarised(grey.expand(20_000, 2, 4), generator)
    torch.testing.assert_close(bits.mean((0, 1)), grey, atol=0.01, rtol=0)


def test_the_decoder_begins_with_the_ink_of_the_data(energy):
    x = torch.rand(50, SIDE, SIDE)
    _start(energy, x)
    with torch.no_grad():
        energy.decoder[-1].weight.zero_()
    torch.testing.assert_close(energy.mean(torch.randn(2, 3)), x.mean(0).expand(2, SIDE, SIDE), atol=1e-5, rtol=0)


def test_the_judge_says_the_same_twice_and_more_draws_say_less(energy, generator):
    x = binarised(torch.full((40, SIDE, SIDE), 0.3), generator)
    with torch.no_grad():
        energy.decoder[-1].weight.mul_(20)
    bounds = [judge(energy, x, k, CONFIG).mean for k in (1, 10, 200)]
    assert bounds[0] > bounds[1] > bounds[2]
    assert judge(energy, x, 10, CONFIG).mean == bounds[1]
    assert judge(energy, x, 10, CONFIG, half=True).mean == pytest.approx(bounds[1], abs=2)


def test_a_dead_code_tells_nothing_of_the_picture(energy, generator):
    """−log p is then that of the pixels, whatever is drawn."""
    with torch.no_grad():
        energy.decoder[0 if hasattr(energy.decoder[0], "weight") else 1].weight.zero_()
        energy.encoder[-1].weight.zero_()
        energy.encoder[-1].bias.zero_()
    x = binarised(torch.full((5, SIDE, SIDE), 0.3), generator)
    odds = energy.odds(torch.zeros(1, 3))
    alone = torch.distributions.Bernoulli(logits=odds).log_prob(x).sum((1, 2))
    found = judge(energy, x, 7, CONFIG)
    torch.testing.assert_close(found.value.float(), -alone, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.effective, torch.full((5,), 7.0, dtype=torch.float64), rtol=1e-3, atol=0)


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_known_of_an_image_stays_and_the_rest_is_guessed(energy, generator, count):
    x = binarised(torch.full((2, SIDE, SIDE), 0.5), generator)
    top = torch.arange(SIDE).unsqueeze(-1).expand(SIDE, SIDE) < SIDE // 2
    found = fill(energy, CONFIG, {"x": Partial(x.masked_fill(~top, torch.nan), top)}, count, generator)
    assert found.shape == (2, count, SIDE, SIDE)
    assert (found[:, :, top] == x[:, None, top]).all()
    rest = found[:, :, ~top]
    assert ((rest > 0) & (rest < 1)).all()
    assert count == 1 or not (rest[:, 0] == rest[:, 1]).all()


def test_half_a_picture_is_filled_in_by_a_code_that_explains_the_other_half(generator):
    """Two pictures, told apart by either half; the decoder draws one for z > 0, the other for z < 0."""
    energy = build(replace(CONFIG, latent=1))["iwae"]
    left = torch.zeros(SIDE, SIDE)
    left[:, : SIDE // 2] = 1
    energy.decoder = torch.nn.Linear(1, SIDE * SIDE, bias=False)
    with torch.no_grad():
        energy.decoder.weight.copy_(8 * (2 * left - 1).reshape(-1, 1))
    top = torch.arange(SIDE).unsqueeze(-1).expand(SIDE, SIDE) < SIDE // 2
    x = torch.stack([left, 1 - left])
    known = {"x": Partial(x.masked_fill(~top, torch.nan), top)}
    for count in (1, 2):
        found = fill(energy, CONFIG, known, count, generator)
        assert (found.round() == x[:, None]).double().mean() > 0.95


def test_an_image_is_embedded_by_the_mean_of_its_code(energy):
    x = torch.rand(6, SIDE, SIDE)
    torch.testing.assert_close(embed(energy, {"x": x}), energy.belief(x.round()).mean)


@pytest.mark.parametrize("images", ["mnist", "folder"])
def test_a_picture_is_read_as_bits(tmp_path, images):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 1
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    x = read([str(tmp_path / "one.png")], Config(images=images))["x"]
    assert x.shape == (1, SIDE, SIDE)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert x[0, SIDE // 2, SIDE // 2] == 1 and x[0, 0, 0] == 0
