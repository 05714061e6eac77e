import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data import labelled_images
from lowland.errors import UsageError


def test_digits_are_enlarged_into_a_frame_and_split():
    found = labelled_images("digits")
    assert found.train["x"].shape[1:] == (28, 28)
    assert found.classes == tuple("0123456789")
    assert len(found.train["y"]) + len(found.validation["y"]) == 1437
    assert len(found.test["y"]) == 360
    everything = torch.cat([found.train["x"], found.validation["x"], found.test["x"]])
    assert everything.min() >= 0 and everything.max() <= 1
    assert everything[:, :4].max() == 0 and everything[:, :, -4:].max() == 0
    assert found.sources["digits"]["samples"] == 1797


def test_a_folder_of_ones_own_is_split_and_ink_becomes_one(tmp_path):
    for name, grey in (("light", 200), ("dark", 20)):
        (tmp_path / name).mkdir()
        for index in range(10):
            Image.fromarray(np.full((5, 9), grey + index, np.uint8)).save(tmp_path / name / f"{index}.png")
    found = labelled_images(str(tmp_path), size=8, held_out=0.25)
    assert found.classes == ("dark", "light")
    assert [len(part["y"]) for part in (found.train, found.validation, found.test)] == [12, 4, 4]
    assert found.train["x"].shape == (12, 8, 8)
    assert (found.train["x"][found.train["y"] == 0] > 0.8).all()


def test_a_source_that_is_nothing_is_refused():
    with pytest.raises(UsageError, match="wanted mnist, digits or a folder"):
        labelled_images("minst")


def test_another_number_of_classes_is_refused():
    with pytest.raises(UsageError, match="wanted 3 classes in digits, got 10"):
        labelled_images("digits", classes=3)


@pytest.mark.data("mnist")
def test_mnist_keeps_its_test_split():
    found = labelled_images("mnist")
    assert [len(part["y"]) for part in (found.train, found.validation, found.test)] == [57000, 3000, 10000]
    with pytest.raises(UsageError, match="28×28"):
        labelled_images("mnist", size=32)
