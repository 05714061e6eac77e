"""Strings of cut-out characters, from boxes, from folders and made up."""

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data.characters import character_strings, cut_boxes
from lowland.errors import DataError, UsageError


def test_a_box_is_cut_out_stretched_and_inverted():
    image = torch.ones(20, 40)
    image[5:10, 10:20] = 0.25  # grey ink on white
    inside, outside = cut_boxes(image, torch.tensor([[10.0, 5.0, 10.0, 5.0], [25.0, 0.0, 10.0, 20.0]]), (8, 8))
    assert inside[2:6, 2:6].min() == 1 and inside[0, 0] < 0.5
    assert outside.max() == 0


def test_counting_counts():
    found = character_strings("counting", 6, (16, 8))
    x, y, length = (found.train[name] for name in ("x", "y", "length"))
    there = y >= 0
    assert x.shape == (100, 6, 16, 8) and there.sum(1).tolist() == length.tolist()
    steps = (y[:, 1:] - y[:, :-1]) % 10
    assert steps[there[:, 1:]].unique().tolist() == [1, 2, 3]
    assert (x.flatten(2).sum(2) > 0).equal(there)


def write(folder, letters: int) -> None:
    folder.mkdir(parents=True)
    for place in range(letters):
        Image.fromarray(np.full((10, 5), 255 - 20 * place, np.uint8)).save(folder / f"{place}.png")


def test_a_folder_for_each_word(tmp_path):
    for name in ("ab", "ab-2", "cab", "ba", "abc"):
        write(tmp_path / name, len(name.partition("-")[0]))
    found = character_strings(str(tmp_path), 4, (8, 8))
    assert len(found.train["y"]) == 4 and found.test["y"].tolist() == [[2, 0, 1, -1]]
    assert found.train["x"].shape == (4, 4, 8, 8) and found.train["x"][0, 1].mean() == pytest.approx(20 / 255, abs=1e-3)
    write(tmp_path / "abba", 3)
    with pytest.raises(DataError, match="abba: wanted 4 pictures"):
        character_strings(str(tmp_path), 4, (8, 8))


def test_wrong_sources_are_named(tmp_path):
    with pytest.raises(UsageError, match="wanted words, amounts, counting or a folder, got 'letters'"):
        character_strings("letters", 4, (8, 8))
    (tmp_path / "B2").mkdir()
    with pytest.raises(DataError, match="B2: wanted a folder named like its word"):
        character_strings(str(tmp_path), 4, (8, 8))


@pytest.mark.data("orand_car_a")
def test_real_amounts_are_cut_along_their_boxes():
    found = character_strings("amounts", 8, (20, 16))
    assert len(found.train["y"]) == 1080 and int(found.test["length"].sum()) == 562
    inked = (found.train["x"] > 0).flatten(2).any(2)
    assert inked.equal(found.train["y"] >= 0)
