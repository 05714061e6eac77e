import pytest
import torch

from lowland.data import StringRecipe, compose_strings
from lowland.errors import SpaceError

PLAIN = {"size": 0.0, "slant": 0.0, "rotation": 0.0, "jitter": 0.0, "noise": 0.0}


def bars() -> tuple[torch.Tensor, torch.Tensor]:
    """Character k is a bar of 2 + k columns, 12 rows high."""
    images = torch.zeros(3, 28, 28)
    for k in range(3):
        images[k, 8:20, 10 : 12 + k] = 1.0
    return images, torch.arange(3)


def drawn(seed=0, count=50, **changes):
    recipe = StringRecipe(**{**PLAIN, **changes})
    return compose_strings(*bars(), count, recipe, width=80, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gap", [-1, 0, 3])
def test_bars_lie_as_far_apart_as_the_recipe_says(gap):
    found = drawn(gap=(gap, gap), tuck=1.0)
    there = found["y"] >= 0
    widths = torch.where(there, found["y"] + 2, 0).sum(1) + gap * (there.sum(1) - 1)
    ink = found["x"].amax(1) > 0.5
    first, last = ink.int().argmax(1), 79 - ink.flip(1).int().argmax(1)
    assert torch.equal(last - first + 1, widths)
    assert (last < found["columns"]).all() and (found["columns"] <= last + 13).all() and (first <= 12).all()


def test_strings_have_the_lengths_asked_for_and_padding_comes_last():
    found = drawn(shortest=3, longest=5, count=200)
    length = (found["y"] >= 0).sum(1)
    assert found["y"].shape == (200, 5) and set(length.tolist()) == {3, 4, 5}
    assert ((torch.arange(5) < length[:, None]) == (found["y"] >= 0)).all()


def test_neighbours_touch_whatever_their_shape():
    ring = torch.zeros(1, 28, 28)
    row, column = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    radius = ((row - 13.5).square() + (column - 13.5).square()).sqrt()
    ring[0, (radius > 6) & (radius < 8)] = 1.0
    recipe = StringRecipe(shortest=2, longest=2, gap=(0, 0), **PLAIN)
    found = compose_strings(
        ring, torch.zeros(1).long(), 5, recipe, width=80, generator=torch.Generator().manual_seed(0)
    )
    ink = found["x"].amax(1) > 0.5
    assert (ink.sum(1) == 32).all() and ((ink[:, 1:] != ink[:, :-1]).sum(1) <= 2).all()


def test_noise_ends_with_the_margin_and_draws_repeat():
    first, again, other = drawn(noise=0.5), drawn(noise=0.5), drawn(seed=1, noise=0.5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["x"], other["x"])
    after = torch.arange(80) >= first["columns"][:, None]
    assert first["x"].amax(1)[after].max() == 0 and first["x"].min() >= 0 and first["x"].max() <= 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpaceError, match="wanted a width of at least"):
        compose_strings(*bars(), 5, StringRecipe(**PLAIN), width=12)
    with pytest.raises(SpaceError, match="1 ≤ shortest ≤ longest"):
        StringRecipe(shortest=4, longest=3)
    with pytest.raises(SpaceError, match="from its least to its most"):
        StringRecipe(gap=(1, 0))
