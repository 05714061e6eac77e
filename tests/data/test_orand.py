"""ORAND-CAR-A from its own format: a zip of JPEG files and COCO annotations."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data import DataFile, dataset
from lowland.errors import DataError


def place(folder, edition, content: bytes):
    (folder / "orand_car_a").mkdir()
    (folder / "orand_car_a" / "ORAND-CAR-2014-coco.zip").write_bytes(content)
    return replace(dataset("orand_car_a"), files=(DataFile("ORAND-CAR-2014-coco.zip", (edition(content),)),))


def packed(marks: list[dict]) -> bytes:
    picture = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 128, np.uint8)).save(picture, "JPEG")
    listed = {
        "categories": [{"id": digit + 1, "name": str(digit)} for digit in range(10)],
        "images": [{"id": 0, "file_name": "a.jpg"}],
        "annotations": marks,
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for part in ("train", "val"):
            archive.writestr(f"ORAND-CAR-2014-coco/annotations/instances_{part}2017.json", json.dumps(listed))
            archive.writestr(f"ORAND-CAR-2014-coco/images/{part}2017/a.jpg", picture.getvalue())
    return content.getvalue()


def test_digits_are_read_from_left_to_right(folder, edition):
    marks = [{"image_id": 0, "bbox": [left, 2, 5, 9], "category_id": digit + 1} for left, digit in ((12, 7), (3, 0))]
    found = place(folder, edition, packed(marks)).load("all")
    assert [digits.tolist() for digits in found["y"]] == [[0, 7], [0, 7]]
    assert found["boxes"][0].tolist() == [[3, 2, 5, 9], [12, 2, 5, 9]]
    assert found["x"][0].shape == (20, 30)
    torch.testing.assert_close(found["x"][0], torch.full((20, 30), 128 / 255))


def test_an_image_without_digits_is_named(folder, edition):
    with pytest.raises(DataError, match=r"a\.jpg has no digit"):
        place(folder, edition, packed([])).load("train")


def test_a_foreign_file_is_refused(folder, edition):
    with pytest.raises(DataError, match="wanted a zip archive of JPEG files"):
        place(folder, edition, b"no archive").load("train")
