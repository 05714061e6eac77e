"""Labelled grey images of one size, from a data set or from one's own folders, split for training, tuning and judging."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch.nn.functional import interpolate, pad

from ..errors import UsageError
from .files import image_folder
from .registry import dataset
from .splits import holdout

EMBEDDED = "digits"


class Labelled(NamedTuple):
    """What `labelled_images` gives.

    Attributes:
        train: ``x`` ``(N, size, size)`` float32 in [0, 1], 1 is ink; ``y`` ``(N,)`` int64.
        validation: Held out of the training split, stratified.
        test: The set's own test split; of a folder, a stratified fifth.
        sources: What was read, as a result records it.
        classes: What the labels are called.
    """

    train: dict[str, Any]
    validation: dict[str, Any]
    test: dict[str, Any]
    sources: dict[str, dict[str, Any]]
    classes: tuple[str, ...]


def labelled_images(
    source: str, size: int = 28, held_out: float = 0.05, seed: int = 0, classes: int | None = None
) -> Labelled:
    """Images with labels.

    Args:
        source: ``mnist``; ``digits`` (embedded in scikit-learn, enlarged to 20/28 of the size and framed, as MNIST's are);
            or a folder with one sub-folder of images for each class, dark ink on light paper.
        size: Height and width, in pixels.
        held_out: What part of the training split is held out for tuning, between 0 and 1.
        seed: Draws which rows are held out.
        classes: How many labels there must be; ``None`` takes what there is.

    Raises:
        UsageError: For a source that is none of these, an MNIST that is not to have 28 pixels a side, or another number of labels.
        DataError: If files are missing or bad.
    """
    found = _found(source, size, held_out, seed)
    if classes is not None and len(found.classes) != classes:
        raise UsageError(
            f"labelled_images: wanted {classes} classes in {source}, got {len(found.classes)}: {', '.join(found.classes[:12])}."
        )
    return found


def _found(source: str, size: int, held_out: float, seed: int) -> Labelled:
    if source in ("mnist", EMBEDDED):
        described = dataset(source)
        splits = {name: _images(described.load(name), source, size) for name in ("train", "test")}
        checksums = described.checksums()
        sources = {
            source: {
                "split": "train and test",
                "samples": sum(len(part["y"]) for part in splits.values()),
                "sha256": checksums,
            }
        }
        train, validation = holdout(splits["train"], held_out, seed)
        return Labelled(train, validation, splits["test"], sources, described.classes)
    if not Path(source).is_dir():
        raise UsageError(
            f"labelled_images: wanted mnist, {EMBEDDED} or a folder with one sub-folder of images for each class, got {source!r}."
        )
    found = image_folder(source, (size, size), invert=True)
    rest, test = holdout({"x": found["x"], "y": found["y"]}, 0.2, seed)
    train, validation = holdout(rest, held_out, seed)
    sources = {Path(source).name: {"split": "all", "samples": len(found["y"]), "sha256": {}}}
    return Labelled(train, validation, test, sources, found["classes"])


def _images(loaded: dict[str, Any], source: str, size: int) -> dict[str, Any]:
    x = loaded["x"]
    if source == EMBEDDED:
        inside = round(size * 20 / 28)
        before = (size - inside) // 2
        after = size - inside - before
        x = pad(
            interpolate(x[:, None], (inside, inside), mode="bilinear")[:, 0].clamp(0, 1), (before, after, before, after)
        )
    elif x.shape[1:] != (size, size):
        raise UsageError(
            f"labelled_images: {source} has images of {x.shape[1]}×{x.shape[2]} pixels, wanted {size}×{size}."
        )
    return {"x": x, "y": loaded["y"]}
