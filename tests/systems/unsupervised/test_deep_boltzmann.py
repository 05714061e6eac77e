"""What is particular to the deep Boltzmann machine of the gallery; that it runs at all is tested with the gallery."""

import math

import pytest
import torch
from torch import nn

from lowland import Partial
from lowland.energy import DeepBoltzmann, IndependentBits
from lowland.inference import log_partition
from lowland.spaces import Binary
from lowland.system import Data
from lowland.systems.unsupervised.deep_boltzmann import (
    SIDE,
    Completed,
    Config,
    _partition,
    begin,
    binarised,
    bound,
    build,
    compose,
    embed,
    fill,
    means,
    read,
    twice,
    unroll,
)

CONFIG = Config(first=6, second=4, classes=3, batch_size=5, mean_field_steps=20)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def model(generator) -> nn.ModuleDict:
    """Small machines away from where they start."""
    model = build(CONFIG)
    with torch.no_grad():
        for name in ("lower", "upper"):
            for part in (*model[name].parameters(), *model[name].buffers()):
                part.copy_(0.3 * torch.randn(part.shape, generator=generator))
    begin(model["lower"].energy, torch.rand(20, SIDE, SIDE, generator=generator), 2)
    begin(model["upper"].energy, torch.rand(20, 6, generator=generator), 1)
    compose(model["deep"], model["lower"].energy, model["upper"].energy)
    return model


@pytest.fixture
def x(generator) -> torch.Tensor:
    return binarised(torch.full((7, SIDE, SIDE), 0.3), generator)


def test_alone_a_machine_hears_twice_what_its_weights_say(model, x):
    lower = model["lower"].energy
    W, c = lower.parametrizations.W.original, lower.c
    once = (x.flatten(1) - lower.x_origin[: SIDE * SIDE]) @ W
    torch.testing.assert_close(lower.mean("z", x=twice(x)), (2 * once + c).sigmoid())
    assert len(list(lower.parameters())) == 3 and W.shape == (SIDE * SIDE, 6)


def test_a_machine_begins_at_the_means_of_its_data(model, generator):
    h1 = torch.rand(50, 6, generator=generator)
    upper = model["upper"].energy
    begin(upper, h1, 1)
    mean = (h1.sum(0) + 1) / 52
    torch.testing.assert_close(upper.x_origin, mean)
    torch.testing.assert_close(upper.b, mean.logit())
    lower = model["lower"].energy
    begin(lower, h1[:, :1, None].expand(-1, SIDE, SIDE), 2)
    torch.testing.assert_close(lower.b, mean[0].logit().expand(2 * SIDE * SIDE))


def test_composed_a_layer_hears_half_of_what_it_heard_alone(model, x, generator):
    """h1 has two neighbours in place of one that counts twice; the outer layers hear h1 as before."""
    deep, lower, upper = (model["deep"], model["lower"].energy, model["upper"].energy)
    h1, h2 = (binarised(torch.full((7, size), 0.5), generator) for size in (6, 4))
    alone = 0.5 * (lower.field("z", x=twice(x))[0] + upper.field("x", z=torch.cat([h2, h2], 1))[0])
    torch.testing.assert_close(deep.field("h1", x=x, h2=h2)[0], alone)
    torch.testing.assert_close(deep.field("x", h1=h1, h2=h2)[0], lower.field("x", z=h1)[0][:, : SIDE * SIDE])
    torch.testing.assert_close(deep.field("h2", x=x, h1=h1)[0], upper.field("z", x=h1)[0][:, :4])


def test_unrolled_the_net_computes_what_the_layers_hear(model, x, generator):
    deep, (_, net) = model["deep"], model["plain"].network
    unroll(deep, net)
    h2 = binarised(torch.full((7, 4), 0.5), generator)
    first = net[:3](deep.ends(x, h2))
    torch.testing.assert_close(first, deep.field("h1", x=x, h2=h2)[0].sigmoid())
    torch.testing.assert_close(net[3:5](first), deep.field("h2", x=x, h1=first)[0].sigmoid())


def test_what_is_believed_stands_beside_the_image(model, x):
    ends = Completed(model["deep"], 200)(x)
    h1 = model["deep"].field("h1", x=x, h2=ends[:, SIDE * SIDE :])[0].sigmoid()
    torch.testing.assert_close(ends[:, : SIDE * SIDE], x.flatten(1))
    torch.testing.assert_close(
        ends[:, SIDE * SIDE :], model["deep"].field("h2", x=x, h1=h1)[0].sigmoid(), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(embed(model["plain"], {"x": x}), Completed(model["deep"], 20)(x)[:, SIDE * SIDE :])


def test_bounds_of_all_images_add_up_to_almost_one(generator):
    deep = DeepBoltzmann(Binary(2, 3), 4, 3)
    with torch.no_grad():
        deep.machine.W.normal_(generator=generator)
    every = deep.spaces["x"].enumerate()
    log_z = float(log_partition(deep.machine.marginalize("z")))
    total = sum(math.exp(bound(deep, image.unsqueeze(0), log_z)) for image in every)
    assert 0.7 < total <= 1
    data = Data({"x": binarised(torch.full((50, 2, 3), 0.5), generator)})
    assert _partition(deep, data, 300, 300).value == pytest.approx(log_z, abs=0.3)
    assert IndependentBits.of(data.train["x"]).space == Binary(2, 3)


def test_what_is_known_of_an_image_stays_and_the_rest_is_drawn(model, x, generator):
    top = torch.arange(SIDE).unsqueeze(-1).expand(SIDE, SIDE) < SIDE // 2
    found = fill(model["plain"], CONFIG, {"x": Partial(x, top)}, 3, generator)
    assert found.shape == (7, 3, SIDE, SIDE)
    assert (found[:, :, top] == x[:, None, top]).all()
    rest = found[:, :, ~top]
    assert ((rest > 0) & (rest < 1)).all() and not (rest[:, 0] == rest[:, 1]).all()
    assert means(model["deep"], model["deep"].chains).shape == (5, SIDE, SIDE)


def test_a_picture_is_read_with_its_greys(tmp_path):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 0.8
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    for images in ("mnist", "folder"):
        x = read([str(tmp_path / "one.png")], Config(images=images))["x"]
        assert x.shape == (1, SIDE, SIDE) and x[0, SIDE // 2, SIDE // 2] > 0.5 and x[0, 0, 0] < 0.1
