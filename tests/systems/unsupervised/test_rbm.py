"""What is particular to the Boltzmann machines of the gallery; that they run at all is tested with the gallery."""

import pytest
import torch

from lowland import Partial
from lowland.energy import IndependentBits, RestrictedBoltzmann
from lowland.inference import log_partition
from lowland.spaces import Binary
from lowland.system import Data
from lowland.systems.unsupervised.rbm import (
    SIDE,
    Config,
    _independent,
    binarised,
    build,
    embed,
    fantasies,
    fill,
    log_likelihood,
    read,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def energy():
    return build(Config(hidden=5, small_hidden=3))["pcd"]


def test_a_pixel_is_on_as_often_as_it_is_bright(generator):
    grey = torch.tensor([0.0, 0.2, 0.7, 1.0])
    bits = binarised(grey.expand(20_000, 2, 4), generator)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(bits.mean((0, 1)), grey, atol=0.01, rtol=0)


def test_likelihoods_of_all_images_add_up_to_one():
    machine = RestrictedBoltzmann(Binary(2, 3), 4)
    with torch.no_grad():
        machine.W.normal_()
    energy = machine.marginalize("z")
    every = energy.space.enumerate()
    log_z = float(log_partition(machine.marginalize("x")))
    each = torch.tensor([log_likelihood(energy, image.unsqueeze(0), log_z) for image in every])
    assert each.exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert log_likelihood(energy, every, log_z) == pytest.approx(each.mean().item(), abs=1e-4)


def test_pixels_that_see_nobody_are_as_likely_as_their_frequencies_say():
    x = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]], [[1.0, 0.0]]])
    mean = (x.sum(0) + 1) / 6
    wanted = torch.distributions.Bernoulli(mean).log_prob(x).sum((1, 2)).mean().item()
    assert _independent(Data({"x": x}, test={"x": x})) == pytest.approx(wanted, abs=1e-5)
    assert IndependentBits.of(x).draw(3).shape == (3, 1, 2)


def test_what_is_known_of_an_image_stays_and_the_rest_is_drawn(energy, generator):
    x = binarised(torch.full((2, SIDE, SIDE), 0.5), generator)
    top = torch.arange(SIDE).unsqueeze(-1).expand(SIDE, SIDE) < SIDE // 2
    found = fill(energy, Config(), {"x": Partial(x, top)}, 3, generator)
    assert found.shape == (2, 3, SIDE, SIDE)
    assert (found[:, :, top] == x[:, None, top]).all()
    rest = found[:, :, ~top]
    assert ((rest > 0) & (rest < 1)).all()
    assert not (rest[:, 0] == rest[:, 1]).all()


def test_chains_are_shown_from_their_start(energy, generator):
    x = binarised(torch.full((4, SIDE, SIDE), 0.5), generator)
    seen = fantasies(energy, x, (1, 5), generator)
    assert seen.shape == (3, 4, SIDE, SIDE)
    assert (seen[0] == x).all()
    assert ((seen[1:] > 0) & (seen[1:] < 1)).all()


def test_an_image_is_embedded_by_the_means_of_its_hidden_bits(energy):
    x = torch.rand(6, SIDE, SIDE)
    machine = energy.energy
    torch.testing.assert_close(embed(energy, {"x": x}), machine.mean("z", x=x.round()))


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
