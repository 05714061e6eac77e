"""What is particular to the denoising autoencoders of the gallery; that they run at all is tested with the gallery."""

import pytest
import torch

from lowland import Partial, infer
from lowland.data import spiral
from lowland.system import Data
from lowland.systems.unsupervised.denoising_autoencoder import (
    SIDE,
    TOP,
    Config,
    binarised,
    build,
    embed,
    encoded,
    exact_mend,
    fill,
    linear_error,
    read,
    sample,
    stack,
    walker,
)

CONFIG = Config(hidden=(12, 8), masked=(0.2, 0.2), walker=(10, 10), turns=20, bfloat16=False)


@pytest.fixture
def model():
    return build(CONFIG).eval()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_classifier_begins_with_the_layers_that_learnt_to_mend(model):
    stack(model)
    x = torch.rand(5, SIDE, SIDE)
    code = model["layer_2"].network.encoder(model["layer_1"].network.encoder(x))
    torch.testing.assert_close(embed(model["digits"], {"x": x}), code)
    torch.testing.assert_close(
        encoded(model["layer_1"].network.encoder, x.flatten(1), CONFIG), model["layer_1"].network.encoder(x)
    )


def test_one_energy_tells_the_label_and_fills_in_pixels(model, generator):
    digits = model["digits"]
    x = torch.rand(3, SIDE, SIDE)
    with torch.no_grad():
        digits.terms[1].network[-1].bias[7] = 5.0
    assert infer(digits, "y", x=x).value.tolist() == [7, 7, 7]
    wanted = (x - digits.terms[0].network(x)).square().sum((1, 2)) - digits.terms[1].network(x)[:, 7]
    torch.testing.assert_close(digits(x=x, y=torch.full((3,), 7)), wanted)
    found = fill(digits, CONFIG, {"x": Partial(x, TOP)}, 4, generator)
    assert found.shape == (3, 4, SIDE, SIDE)
    assert (found[:, :, TOP] == x[:, None, TOP]).all()
    rest = found[:, :, ~TOP]
    assert ((rest > 0) & (rest < 1)).all() and not (rest[:, 0] == rest[:, 1]).all()


def test_what_is_walked_is_the_network_whose_energy_answers(model, generator):
    x = torch.rand(4, SIDE, SIDE)
    bits = walker(model["digits"])
    _, slope = bits.value_and_gradient(binarised(x, generator), "y", x=x)
    torch.testing.assert_close((-slope).sigmoid(), model["digits"].terms[0].network(x))
    chain = sample(model["digits"], CONFIG, binarised(x, generator), 3, generator)
    assert chain.shape == (3, 4, SIDE, SIDE) and ((chain > 0) & (chain < 1)).all()


def test_the_exact_mend_is_the_slope_of_the_blurred_density(generator):
    points, sigma = spiral(300, generator), 0.2
    x = torch.randn(20, 2, generator=generator).requires_grad_()
    blurred = (-0.5 * (torch.cdist(x, points) / sigma).square()).logsumexp(1)
    (slope,) = torch.autograd.grad(blurred.sum(), x)
    torch.testing.assert_close(
        exact_mend(x.detach(), points, sigma) - x.detach(), sigma**2 * slope, atol=1e-4, rtol=1e-3
    )


def test_the_linear_error_is_that_of_the_best_map_from_the_code():
    code = torch.randn(400, 5)
    y = code[:, :3].argmax(1)
    part = {"x": code, "y": y}
    config = Config(classes=3)
    assert linear_error(torch.nn.Identity(), Data(part, test=part), config) < 15
    blind = linear_error(lambda x: x[:, 3:], Data(part, test=part), config)
    assert 50 < blind < 75


def test_a_picture_is_framed_as_a_digit(tmp_path):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 1
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    x = read([str(tmp_path / "one.png")], Config())["x"]
    assert x.shape == (1, SIDE, SIDE) and x[0, 14, 14] == 1 and x[0, :4].max() == 0
