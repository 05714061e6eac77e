"""Strings whose characters have been cut out: each a row of small pictures of one size, with a label for each.

words      the OCR words of Kassel and Taskar, letters of 16×8 pixels (`ocr_words`)
amounts    the amounts of ORAND-CAR-A, cut along the boxes of their digits and brought to one size
counting   digits of scikit-learn, each one to three more than the one before; for trying things out
a folder   one's own: a sub-folder for each string, named like it (``house``, ``house-2``), with a picture for each character
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad
from torch.nn.utils.rnn import pad_sequence

from ..errors import DataError, UsageError
from .files import read_images
from .formats import natural
from .registry import dataset

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BORDER = 0.1  # of a box, added on each side when an amount is cut


class Characters(NamedTuple):
    """What `character_strings` gives; each split has ``x (N, L, H, W)``, ``y (N, L)`` and ``length (N,)``.

    Attributes:
        train: Its own training split.
        test: Its own test split; of a folder, every fifth string.
        sources: What was read, as a result records it.
    """

    train: dict[str, Tensor]
    test: dict[str, Tensor]
    sources: dict[str, dict[str, Any]]


def character_strings(source: str, longest: int, size: tuple[int, int]) -> Characters:
    """Strings of characters.

    Args:
        source: ``words``, ``amounts``, ``counting`` or a folder, of dark ink on light paper.
        longest: L, the most characters of a string.
        size: H and W, in pixels.

    Raises:
        UsageError: For a source that is none of these, or of another size.
        DataError: If files are missing or bad, a string is too long, or a folder's name is no string of letters.
    """
    if source == "counting":
        return _counting(longest, size)
    if source == "words":
        described = dataset("ocr_words")
        train, test = (_fit(_words(described.load(split)), longest, size, source) for split in ("train", "test"))
        return Characters(train, test, {"ocr_words": described.record("train", "test")})
    if source == "amounts":
        described = dataset("orand_car_a")
        train, test = (_amounts(described.load(split), size) for split in ("train", "validation"))
        sources = {"orand_car_a": described.record("train", "validation")}
        return Characters(_fit(train, longest, size, source), _fit(test, longest, size, source), sources)
    if not Path(source).is_dir():
        raise UsageError(f"character_strings: wanted words, amounts, counting or a folder, got {source!r}.")
    whole = _fit(_folder(Path(source), size), longest, size, source)
    last = torch.arange(len(whole["y"])) % 5 == 4
    sources = {Path(source).name: {"split": "all", "samples": len(last), "sha256": {}}}
    train, test = ({name: value[rows] for name, value in whole.items()} for rows in (~last, last))
    return Characters(train, test, sources)


def _words(found: dict[str, Any]) -> dict[str, Tensor]:
    return {name: found[name] for name in ("x", "y", "length")}


def _fit(part: dict[str, Tensor], longest: int, size: tuple[int, int], source: str) -> dict[str, Tensor]:
    most = part["x"].shape[1]
    if part["x"].shape[2:] != size:
        raise UsageError(
            f"character_strings: {source} has characters of {tuple(part['x'].shape[2:])} pixels, wanted {size}."
        )
    if most > longest:
        raise DataError(f"character_strings: {source} has a string of {most} characters, wanted at most {longest}.")
    room = longest - most
    return {**part, "x": pad(part["x"], (0, 0, 0, 0, 0, room)), "y": pad(part["y"], (0, room), value=-1)}


def _gathered(pictures: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
    """From strings of different lengths."""
    return {
        "x": pad_sequence(pictures, batch_first=True),
        "y": pad_sequence(labels, batch_first=True, padding_value=-1),
        "length": torch.tensor([len(label) for label in labels]),
    }


def _amounts(found: dict[str, Any], size: tuple[int, int]) -> dict[str, Tensor]:
    """Each digit inside its box, ink bright, from 0 for the lightest pixel in it to 1 for the darkest."""
    cut = [cut_boxes(image, boxes, size) for image, boxes in zip(found["x"], found["boxes"], strict=True)]
    return _gathered(cut, found["y"])


def cut_boxes(
    image: Float[Tensor, "H W"], boxes: Float[Tensor, "L 4"], size: tuple[int, int]
) -> Float[Tensor, "L h w"]:
    """The insides of boxes (left, top, width, height), a little wider, stretched to one size and to the whole range of grey."""
    height, width = image.shape
    left, top, wide, high = boxes.T
    scale = torch.tensor([width, height])
    centre = torch.stack([left + wide / 2, top + high / 2], 1) / scale * 2 - 1
    reach = torch.stack([wide, high], 1) * (1 + 2 * BORDER) / scale
    theta = torch.cat([torch.diag_embed(reach), centre[..., None]], 2)
    grid = affine_grid(theta.float(), [len(boxes), 1, *size], align_corners=False)
    ink = 1 - grid_sample(image.expand(len(boxes), 1, -1, -1), grid, padding_mode="border", align_corners=False)[:, 0]
    low, high = ink.amin((1, 2), keepdim=True), ink.amax((1, 2), keepdim=True)
    return (ink - low) / (high - low).clamp_min(1e-3)


def read_characters(folder: str | Path, size: tuple[int, int]) -> Float[Tensor, "L H W"]:
    """The pictures in a folder, in natural order, dark ink on light paper; ink becomes 1."""
    return read_images([folder], size=size, invert=True)["x"]


def _folder(root: Path, size: tuple[int, int]) -> dict[str, Tensor]:
    folders = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: natural(path.name))
    pictures, labels = [], []
    for folder in folders:
        word = folder.name.partition("-")[0]
        if not word or set(word) - set(LETTERS):
            raise DataError(
                f"{folder}: wanted a folder named like its word, of the letters a to z, such as house or house-2."
            )
        pictures.append(read_characters(folder, size))
        labels.append(torch.tensor([LETTERS.index(letter) for letter in word]))
        if len(pictures[-1]) != len(word):
            raise DataError(f"{folder}: wanted {len(word)} pictures, one for each letter, got {len(pictures[-1])}.")
    if len(folders) < 5:
        raise DataError(f"{root}: wanted at least five sub-folders, one for each word; it has {len(folders)}.")
    return _gathered(pictures, labels)


def _counting(longest: int, size: tuple[int, int]) -> Characters:
    described = dataset("digits")
    train, test = (
        _count(described.load(split), count, longest, size) for split, count in (("train", 100), ("test", 50))
    )
    return Characters(train, test, {"digits": described.record("train", "test")})


def _count(found: dict[str, Any], count: int, longest: int, size: tuple[int, int]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(count)
    y = torch.randint(1, 4, (count, longest), generator=generator).cumsum(1) % 10
    order, each = found["y"].argsort(stable=True), found["y"].bincount(minlength=10)
    pick = (torch.rand(y.shape, generator=generator) * each[y]).long() + (each.cumsum(0) - each)[y]
    length = torch.randint(min(3, longest), longest + 1, (count,), generator=generator)
    there = torch.arange(longest) < length[:, None]
    x = torch.zeros(count, longest, *size)
    top, left = (size[0] - 8) // 2, (size[1] - 8) // 2
    x[:, :, top : top + 8, left : left + 8] = found["x"][order[pick]]
    return {"x": x * there[..., None, None], "y": torch.where(there, y, -1), "length": length}
