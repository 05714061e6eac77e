"""The six questions, asked of a small mixture; whether they are answered well is in the ledger."""

import pytest
import torch
from PIL import Image

from lowland import Partial
from lowland.errors import DataError
from lowland.system import find
from lowland.systems.unsupervised import any_part
from lowland.systems.unsupervised.any_part import complete, draw, neighbours, parts, representatives, surprise
from lowland.train import Trainer


@pytest.fixture(scope="module")
def trained():
    system = find("any_part")
    config = system.configure("smoke")
    torch.manual_seed(0)
    model, data = system.build(config), system.data(config)
    system.train(model, config, data, Trainer(seed=0, device="cpu"))
    return model.requires_grad_(False), config, data


def test_the_small_mixture_answers_nearly_as_well_as_the_large_one(trained):
    measured = any_part.evaluate(*trained)
    assert measured["label_accuracy"] > 98
    assert measured["bottom_half_mse"] < 0.036 and measured["bottom_half_over_neighbours"] < 1
    assert measured["bottom_half_best_of_ten"] < 0.65 and measured["hole_best_of_ten"] < 0.65
    assert measured["bottom_half_spread"] > 0.05
    assert measured["auroc_shuffled"] > 0.99 and measured["auroc_flipped_inverted"] > 0.99
    assert measured["drawn_read_back"] > 90 and measured["neighbour_accuracy"] > 97


@pytest.mark.parametrize("part", parts())
def test_a_completion_keeps_what_is_known_and_reads_nothing_else(trained, part):
    model, config, data = trained
    x, known = data.test["x"][:6], parts()[part]
    spoilt = torch.where(known, x, torch.rand_like(x))
    one, other = (
        complete(model, image, known, config, generator=torch.Generator().manual_seed(0)) for image in (x, spoilt)
    )
    assert torch.equal(one.several, other.several) and torch.equal(one.best, other.best)
    assert torch.equal(one.best[:, known], x[:, known])
    assert torch.equal(one.several[:, :, known], x[:, None, known].expand(-1, 10, -1))
    assert ((one.several[:, :, None] - one.several[:, None]).abs().amax((-1, -2)) > 0.01).sum() == 6 * 10 * 9


def test_a_known_label_shapes_the_completion(trained):
    model, config, data = trained
    x, y = data.test["x"][:60], data.test["y"][:60]
    answered = {}
    for shift in (0, 3):
        guess = complete(model, x, parts()["all but a row"], config, y=(y + shift) % 10)
        answered[shift] = (
            (model.marginalize("z").table("y", x=guess.best).argmin(-1) == (y + shift) % 10).float().mean()
        )
    assert min(answered.values()) > 0.9


def test_images_drawn_for_a_label_are_no_surprise(trained):
    model, config, data = trained
    drawn = draw(model, torch.arange(10).repeat_interleave(10), config)
    assert surprise(model, drawn).median() < surprise(model, data.test["x"]).median() + 10


def test_a_part_is_filled_in_from_a_drawing_of_any_size(trained, tmp_path):
    model, config, data = trained
    x = data.test["x"][:2]
    for number, image in enumerate(x):
        page = Image.new("L", (120, 100), 255)
        ink = Image.fromarray((255 * (1 - image)).byte().numpy()).resize((64, 64), Image.Resampling.NEAREST)
        page.paste(ink, (10 + 20 * number, 25))
        page.save(tmp_path / f"{number}.png")
    found = any_part.read([str(tmp_path)], config)["x"]
    assert torch.equal(model.marginalize("z").table("y", x=found).argmin(-1), data.test["y"][:2])
    half = parts()["bottom"].expand(2, -1, -1)
    generator = torch.Generator().manual_seed(0)
    assert any_part.fill(model, config, {"x": Partial(x, half)}, 1, generator).shape == (2, 1, 8, 8)
    several = any_part.fill(model, config, {"x": Partial(x, half), "y": data.test["y"][:2]}, 3, generator)
    assert several.shape == (2, 3, 8, 8) and torch.equal(several[:, 1, :4], x[:, :4])
    threes = any_part.fill(model, config, {"y": torch.tensor([3])}, 20, generator)[0]
    assert (model.marginalize("z").table("y", x=threes).argmin(-1) == 3).float().mean() > 0.9


def test_representatives_are_samples_that_cover_every_cluster():
    centres = torch.tensor([0.0, 10.0, 20.0, 30.0])
    samples = centres[torch.arange(40) % 4, None, None] + torch.rand(3, 40, 2, 2)
    chosen = representatives(samples, 4)
    assert (chosen[:, :, None] == samples[:, None]).all((-1, -2)).any(-1).all()
    assert torch.equal((chosen[..., 0, 0] / 10).floor().sort(-1).values, torch.arange(4.0).expand(3, 4))


def test_neighbours_look_at_known_pixels_only():
    x, stored = torch.rand(5, 8, 8), torch.rand(30, 8, 8)
    known = torch.rand(5, 8, 8) < 0.5
    found = neighbours(x, known, stored, count=3)
    for row in range(5):
        distance = (stored - x[row])[:, known[row]].square().sum(1)
        torch.testing.assert_close(found[row], stored[distance.argsort()[:3]].mean(0))


def test_a_folder_of_images_takes_the_place_of_the_digits(tmp_path):
    for label, column in (("left", 1), ("right", 6)):
        (tmp_path / label).mkdir()
        for number in range(10):
            image = Image.new("L", (16, 16), 255)
            image.paste(number, (2 * column, 0, 2 * column + 2, 16))
            image.save(tmp_path / label / f"{number}.png")
    system = find("any_part")
    config = system.configure("smoke", images=str(tmp_path), classes=2)
    data = system.data(config)
    assert data.labels == ("left", "right") and len(data.test["y"]) == 4
    assert data.train["x"][data.train["y"] == 0][:, :, 1].min() > 0.5
    model = system.build(config)
    system.train(model, config, data, Trainer(seed=0, device="cpu"))
    assert any_part.evaluate(model, config, data)["label_accuracy"] == 100
    asked = any_part.read([str(tmp_path / "right" / "3.png")], config)["x"]
    assert model.marginalize("z").table("y", x=asked).argmin(-1).item() == 1
    with pytest.raises(DataError, match="wanted 10 sub-folders, got 2; say --classes"):
        system.data(system.configure("smoke", images=str(tmp_path)))
