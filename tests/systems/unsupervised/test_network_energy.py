"""What is particular to the image energy of the gallery; that it runs at all is tested with the gallery."""

import math

import pytest
import torch

from lowland import Partial
from lowland.errors import DivergenceError
from lowland.inference import Langevin
from lowland.objectives import DenoisingScoreMatching, Guard, ReplayContrastiveDivergence
from lowland.system import Data
from lowland.systems.unsupervised.network_energy import (
    SIDE,
    TOP,
    Config,
    NoisyImages,
    begin,
    build,
    embed,
    falling,
    fill,
    habits,
    judged,
    read,
    scores,
    walk,
)
from lowland.train import Player, Trainer

SMALL = Config(channels=(4, 8), hidden=16, chain_length=80)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def energy() -> NoisyImages:
    return build(SMALL)["network"]


class Point(NoisyImages):
    """The energy of one image seen through noise: all that is known of the answer is known in closed form."""

    def __init__(self, image):
        super().__init__(0.3, (4, 8), 16)
        self.image = image

    def energies(self, x):
        return 0.5 * (x - self.image).square().sum((1, 2)) / self.sigma**2


def test_a_step_downhill_takes_all_noise_from_the_one_image_there_is(generator):
    image = torch.rand(SIDE, SIDE, generator=generator)
    noisy = image + 0.3 * torch.randn(5, SIDE, SIDE, generator=generator)
    torch.testing.assert_close(Point(image).clean(noisy), image.expand(5, SIDE, SIDE), atol=1e-5, rtol=0)


def test_chains_from_anywhere_arrive_at_it_with_the_noise_of_the_model(generator):
    image = torch.rand(SIDE, SIDE, generator=generator)
    ends = walk(Point(image), torch.zeros(40, SIDE, SIDE), 100, SMALL, generator)
    assert ends.shape == (6, 40, SIDE, SIDE) and (ends[0] == 0).all()
    assert (ends[-1] - image).std().item() == pytest.approx(0.3, rel=0.02)


def test_far_away_the_energy_rises_whatever_the_network_says(energy):
    x = torch.randn(20, SIDE, SIDE)
    near, far = energy(x=x), energy(x=100 * x)
    assert (far > 100 * near.abs()).all()


def test_energies_keep_their_digits_in_half_precision(energy):
    x = torch.rand(8, SIDE, SIDE) + 3
    with torch.autocast("cpu", torch.bfloat16):
        half = energy(x=x)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, energy(x=x), atol=0.05, rtol=0)


def test_what_is_known_of_an_image_stays_and_the_rest_is_drawn(energy, generator):
    x = torch.rand(2, SIDE, SIDE, generator=generator)
    found = fill(energy, SMALL, {"x": Partial(x, TOP)}, 3, generator)
    assert found.shape == (2, 3, SIDE, SIDE)
    assert (found[:, :, TOP] == x[:, None, TOP]).all()
    rest = found[:, :, ~TOP]
    assert ((rest >= 0) & (rest <= 1)).all() and not (rest[:, 0] == rest[:, 1]).all()


def test_habits_of_chains():
    labels = torch.tensor([[0, 1, 2, -1], [0, 1, 3, -1], [0, -1, 3, 4]])  # three looks at four chains
    found = habits(labels)
    assert found["sure"] == 75
    assert found["entropy"] == pytest.approx(math.log(3))
    assert found["chains_that_change"] == 25
    assert found["labels_per_chain"] == pytest.approx(5 / 4)


def test_the_judge_says_nothing_where_it_is_not_sure():
    judge = build(SMALL)["judge"].eval()
    assert (judged(judge, torch.rand(3, 5, SIDE, SIDE)) == -1).all()
    with torch.no_grad():
        judge.network.layers["output"][1].bias[7] = 100
    assert (judged(judge, torch.rand(3, 5, SIDE, SIDE)) == 7).all()


def test_chains_begin_anew_at_noise_or_at_images_that_are_moved():
    corner = torch.zeros(50, SIDE, SIDE)
    corner[:, 1, 3] = 1
    start = begin(corner, 4000)
    assert start.shape == (4000, SIDE, SIDE)
    places = {tuple(place) for place in start.nonzero()[:, 1:].tolist()}
    moved = {(i, j) for i, j in ((1, 24), (26, 3), (26, 24), (3, 1), (3, 26), (24, 1), (24, 26))}
    assert places == moved | {(1, 3)}  # noise keeps what all images share where it is
    assert start[:, 1, 3].mean().item() == pytest.approx(0.25, abs=0.05)


def test_an_image_is_as_strange_as_its_ink_is_unusual():
    x = torch.full((9, SIDE, SIDE), 0.2)
    found = scores({"network": None}, Data({"x": x}))
    other = torch.full((2, SIDE, SIDE), 0.5)
    torch.testing.assert_close(found["ink"](other), torch.full((2,), 0.3))
    assert (found["variation"](other) == 0).all()
    other[:, :, 4] = 0
    torch.testing.assert_close(found["variation"](other), torch.full((2,), float(SIDE)))


def test_the_rate_falls_in_the_second_half():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = falling(optimizer, 9)
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4])


def test_denoising_alone_already_mends(energy):
    x = torch.zeros(64, SIDE, SIDE)
    x[:, 10:18, 10:18] = 1
    objective = DenoisingScoreMatching(energy.sigma)
    player = Player("network", energy, lambda batch: objective(energy, batch), lambda p: torch.optim.Adam(p, lr=3e-3))
    noisy = x + energy.sigma * torch.randn_like(x)
    before = (energy.clean(noisy) - x).square().mean()
    Trainer(energy, seed=0, shown=False).fit("denoising", player, {"x": x}, steps=60, batch_size=32)
    assert (energy.clean(noisy) - x).square().mean() < 0.5 * before


def test_a_chain_that_runs_away_stops_training_and_nothing_is_lost(tmp_path, energy):
    x = {"x": torch.rand(64, SIDE, SIDE)}
    chains = ReplayContrastiveDivergence(Langevin(0.01), 3, 100, begin=begin, guard=Guard(1e-5, rollbacks=0))

    def loss(batch):
        if chains.guard.step == 4:
            energy.last.weight.data.fill_(torch.inf)
        return chains(energy, batch)

    player = Player("network", energy, loss, lambda p: torch.optim.Adam(p, lr=1e-4), memory={"chains": chains})
    with pytest.raises(DivergenceError, match=r"training step 5, with energy .* the weights are those of step 1 again"):
        Trainer(energy, seed=0, run=tmp_path, shown=False).fit("chains", player, x, steps=10, batch_size=32)
    assert all(bool(parameter.isfinite().all()) for parameter in energy.parameters())


def test_an_image_is_embedded_by_its_features(energy):
    assert embed(energy, {"x": torch.rand(6, SIDE, SIDE)}).shape == (6, 16)


@pytest.mark.parametrize("images", ["mnist", "folder"])
def test_a_picture_is_read_as_ink(tmp_path, images):
    from PIL import Image

    ink = torch.zeros(40, 40)
    ink[10:30, 18:22] = 1
    Image.fromarray((255 * (1 - ink)).byte().numpy()).save(tmp_path / "one.png")
    x = read([str(tmp_path / "one.png")], Config(images=images))["x"]
    assert x.shape == (1, SIDE, SIDE)
    assert x[0, SIDE // 2, SIDE // 2] > 0.9 and x[0, 0, 0] == 0
