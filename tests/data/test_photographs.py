"""Photographs are split by photograph, whitened and normalised as said."""

import pytest
import torch

from lowland.data import contrast_normalised, grey_photographs, whitened
from lowland.errors import DataError, UsageError


def write(folder, count: int) -> None:
    from PIL import Image

    for index in range(count):
        Image.fromarray((255 * torch.rand(20, 21 + index)).byte().numpy()).save(folder / f"{index}.png")


def test_a_folder_is_split_by_picture(tmp_path):
    write(tmp_path, 7)
    found = grey_photographs(str(tmp_path))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [5, 1, 1]
    assert found.test[0].shape == (20, 27)
    (record,) = found.sources.values()
    assert record["samples"] == 7


def test_what_is_no_source_or_too_few_is_refused(tmp_path):
    with pytest.raises(UsageError, match="wanted a data set of images, noise or a folder"):
        grey_photographs(str(tmp_path / "missing"))
    write(tmp_path, 2)
    with pytest.raises(DataError, match="at least 3 images"):
        grey_photographs(str(tmp_path))


def test_whitening_makes_neighbours_independent():
    smooth = torch.randn(80, 80).cumsum(0).cumsum(1)
    flat = whitened(smooth)
    assert flat.shape == (72, 72)
    torch.testing.assert_close(flat.std(), torch.tensor(1.0))
    near = (flat[1:] * flat[:-1]).mean() / flat.square().mean()
    assert near.abs() < 0.8 < 0.95 < (smooth[1:] * smooth[:-1]).mean() / smooth.square().mean()


def test_contrast_is_the_same_in_dark_and_in_light_places():
    scale = torch.cat([torch.full((1, 3, 24, 24), 0.1), torch.full((1, 3, 24, 24), 0.4)], 3)
    images = 0.5 + scale * torch.randn(1, 3, 24, 48)
    found = contrast_normalised(images, width=3.0)
    left, right = found[..., :18].std(), found[..., -18:].std()
    assert 0.4 < left / right < 1.0 and left / right > 1.5 * images[..., :18].std() / images[..., -18:].std()
    assert found.mean().abs() < 0.05
    assert contrast_normalised(torch.full((1, 1, 9, 9), 0.7)).abs().max() < 1e-3  # flat stays flat, up to its edges
