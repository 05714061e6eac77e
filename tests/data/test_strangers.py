"""Strange images are what they are said to be."""

import pytest
import torch

from lowland.data import gone_wrong, other_writing, shuffle_patches, strokes
from lowland.errors import UsageError

SIDE = 28


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_patches_are_moved_whole(generator):
    x = torch.arange(16.0).reshape(4, 4).repeat_interleave(7, 0).repeat_interleave(7, 1).expand(3, SIDE, SIDE)
    mixed = shuffle_patches(x, 7, generator)
    blocks = mixed.unflatten(1, (4, 7)).unflatten(3, (4, 7)).transpose(2, 3).flatten(3).flatten(1, 2)
    assert (blocks == blocks[..., :1]).all() and not (mixed == x).all()
    assert (blocks[..., 0].sort(1).values == torch.arange(16.0)).all()
    within = torch.rand(2, 4, 6, generator=generator)
    moved = shuffle_patches(within, 2, generator)
    pieces = [part.unfold(1, 2, 2).unfold(2, 2, 2).reshape(2, 6, 4).sort(1).values for part in (within, moved)]
    torch.testing.assert_close(*pieces)
    with pytest.raises(UsageError, match="patches of 5×5"):
        shuffle_patches(x, 5, generator)


def test_images_that_have_gone_wrong_keep_their_ink(generator):
    x = torch.rand(3, SIDE, SIDE, generator=generator)
    found = gone_wrong(x, generator)
    assert list(found) == ["upside_down", "mirrored", "patches", "pixels", "noise"]
    for name in ("upside_down", "mirrored", "patches", "pixels"):
        assert not (found[name] == x).all()
        torch.testing.assert_close(found[name].flatten(1).sort(1).values, x.flatten(1).sort(1).values)
    torch.testing.assert_close(found["upside_down"][:, 0], x[:, -1])
    torch.testing.assert_close(found["mirrored"][:, :, 0], x[:, :, -1])


def test_strokes_are_ink_inside_the_frame(generator):
    x = strokes(6, 3, SIDE, generator)
    assert x.shape == (6, SIDE, SIDE) and ((x >= 0) & (x <= 1)).all()
    assert (x.amax((1, 2)) > 0.9).all() and (x[:, 0] == 0).all() and (x.mean((1, 2)) < 0.4).all()


def test_noise_is_added_and_stays_in_range():
    plain, noisy = other_writing("strokes", 20), other_writing("strokes", 20, noise=0.1)
    assert plain.shape == noisy.shape == (500, 20, 20)
    assert 0.03 < (noisy - plain).std() < 0.1 and noisy.min() == 0 and noisy.max() == 1
    with pytest.raises(UsageError, match="wanted usps, omniglot or strokes"):
        other_writing("runes", 20)


@pytest.mark.data("usps", "omniglot")
@pytest.mark.parametrize(("source", "count"), [("usps", 2007), ("omniglot", 13180)])
def test_other_writing_comes_in_our_size(source, count):
    x = other_writing(source, SIDE)
    assert x.shape == (count, SIDE, SIDE) and x.min() == 0 and x.max() == 1
    assert 0.02 < x.mean() < 0.3
