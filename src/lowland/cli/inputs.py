"""From the words of a command to the values of an energy's variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..train import Model


def add_inputs(parser: Any, several: str = "*") -> None:
    """``RUN``, ``INPUT...`` and how to read them."""
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs=several,
        help="images, folders of them, recordings (.wav), texts, .npy, .csv, or - for stdin",
    )
    parser.add_argument("--invert", action="store_true", help="exchange black and white (ink on paper)")
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another variable that is known: a label, a number, or a .npy file",
    )


def read(model: Model, paths: Sequence[str], invert: bool = False) -> tuple[dict[str, Any], list[str]]:
    """The variables that the files hold, and what to call each sample.

    Raises:
        DataError: If a file can't be read as what the system observes.
        UsageError: If the system observes nothing that files can hold.
    """
    import torch

    from ..data import read_images, read_lines, read_table

    if not paths:
        return {}, []
    system = model.system
    if system.lines is not None:
        texts = [line for path in paths for line in read_lines(path)]
        return dict(system.lines(model.energy, texts)), [f"line {number + 1}" for number in range(len(texts))]
    if system.read is not None:
        if invert:
            raise UsageError(f"--invert: {system.name} reads its inputs in its own way; leave --invert out.")
        values = dict(system.read(list(paths), model.config))
        count = len(next(iter(values.values())))
        return values, list(paths) if len(paths) == count else [f"sample {i}" for i in range(count)]
    space = model.energy.spaces.get(system.observed)
    if space is None or space.kind != "float" or len(space.shape) > 3:
        raise UsageError(f"{system.name}: its inputs ({system.observed}: {space!r}) can't be read from files.")
    if picture := picture_shape(space.shape):
        channels, height, width = picture
        found = read_images(paths, size=(height, width), channels=channels, invert=invert)
        return {system.observed: found["x"].reshape(-1, *space.shape)}, found["names"]
    tables = [read_table(path, columns=space.shape.numel()) for path in paths]
    rows = torch.cat([table["x"] for table in tables]).reshape(-1, *space.shape)
    return {system.observed: rows}, [name for table in tables for name in table["names"]]


def picture_shape(shape: Sequence[int]) -> tuple[int, int, int] | None:
    """(channels, height, width) of a space that holds pictures: ``(H, W)``, ``(C, H, W)`` or ``(side²,)``."""
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side * side == shape[0] and side >= 8 else None
    if len(shape) == 2:
        return (1, shape[0], shape[1])
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 and shape[0] in (1, 3) else None


def given(model: Model, words: Sequence[str]) -> dict[str, Tensor]:
    """``NAME=VALUE`` words as one sample each.

    Raises:
        UsageError: If a word is not of this form, or names no variable or value.
    """
    values = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in model.energy.spaces:
            raise UsageError(
                f"--given {word}: wanted NAME=VALUE with a variable among {', '.join(model.energy.spaces)}."
            )
        values[name] = _value(model, name, text)
    return values


def _value(model: Model, name: str, text: str) -> Tensor:
    import torch

    space = model.energy.spaces[name]
    if text.endswith(".npy"):
        from ..data import read_table

        return read_table(text, columns=space.shape.numel())["x"].reshape(-1, *space.shape)
    if space.kind == "int" and text in model.labels:
        return torch.tensor([model.labels.index(text)])
    try:
        number = int(text) if space.kind == "int" else float(text)
    except ValueError:
        known = f"one of {', '.join(model.labels)}" if model.labels else "a number or a .npy file"
        raise UsageError(f"--given {name}={text}: wanted {known}.") from None
    return space.check(torch.tensor([number], dtype=space.dtype).expand(1, *space.shape), name)


def hidden(word: str, height: int, width: int) -> Tensor:
    """Which pixels are unknown, ``(H, W)`` booleans.

    Args:
        word: ``bottom``, ``top``, ``left`` or ``right`` for that half, or ``ROWS,COLUMNS`` as ranges: ``2:6,3:7``; ``:`` for all.
        height: H.
        width: W.

    Raises:
        UsageError: If the word says neither, or nothing would be hidden.
    """
    import torch

    halves = {
        "bottom": (slice(height // 2, None), slice(None)),
        "top": (slice(None, height // 2), slice(None)),
        "left": (slice(None), slice(None, width // 2)),
        "right": (slice(None), slice(width // 2, None)),
    }
    mask = torch.zeros(height, width, dtype=torch.bool)
    rows, comma, columns = word.partition(",")
    mask[halves[word] if word in halves else (_range(rows, word), _range(columns if comma else ":", word))] = True
    if not mask.any():
        raise UsageError(f"--hide {word}: that hides nothing of a picture of {height}×{width} pixels.")
    return mask


def _range(text: str, word: str) -> slice:
    start, colon, end = text.partition(":")
    try:
        first = int(start) if start else None
        return slice(first, int(end) if end else None) if colon else slice(int(text), int(text) + 1)
    except ValueError:
        raise UsageError(f"--hide {word}: wanted bottom, top, left, right, or ROWS,COLUMNS like 2:6,3:7.") from None
