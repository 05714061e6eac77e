"""``lowland infer RUN INPUT...``: fill in what is unknown: a label, a missing part of a picture, what a line of text means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from . import inputs, lines, show
from .options import Parser, add_device

if TYPE_CHECKING:
    from torch import Tensor

    from ..inference import Solution
    from ..train import Model


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser(
        "infer",
        "Fill in what is unknown.",
        epilog="examples:\n"
        "  lowland infer runs/any_part-… digit.png                         its label\n"
        "  lowland infer runs/any_part-… digit.png --hide bottom --samples 4   four lower halves that fit\n"
        "  lowland infer runs/any_part-… --unknown x --given y=3           a picture of a three\n"
        "  lowland infer runs/translate-… - < my.de                        each line translated, as it comes",
    )
    inputs.add_inputs(parser)
    parser.add_argument("--unknown", metavar="NAME", help="the variable to look for (default: the system's own)")
    parser.add_argument(
        "--hide", metavar="PART", help="hide bottom, top, left, right or ROWS,COLUMNS (2:6,3:7) and fill it in"
    )
    parser.add_argument(
        "--samples", type=int, metavar="N", help="this many answers to each question, drawn or from different starts"
    )
    parser.add_argument("--seed", type=int, default=0, help="begins the random starts (default: 0)")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="write pictures here (default: on the terminal, or RUN/answers if they are drawings)",
    )
    add_device(parser)
    options = parser.parse_args(arguments)
    from ..train import load

    model = load(options.run)
    if model.system.lines is not None and options.inputs:
        model.module.to(options.device)
        lines.answer(model, options, _draw)
        return 0
    values, names = inputs.read(model, options.inputs, options.invert)
    known = {**values, **inputs.given(model, options.given)}
    if not known:
        raise UsageError(
            f"nothing is known: give an INPUT, or --given NAME=VALUE with {', '.join(model.energy.spaces)}."
        )
    unknown = options.unknown or (model.system.observed if options.hide else model.system.unknown)
    if unknown not in model.energy.spaces:
        raise UsageError(f"--unknown {unknown}: {model.system.name} has {', '.join(model.energy.spaces)}.")
    if unknown in known and not options.hide:
        raise UsageError(f"{unknown} is known from the input; to fill in a part of it, say which with --hide.")
    samples = _wanted(options.samples)
    count = max(len(value) for value in known.values())
    for name, value in known.items():
        every = value if len(value) == count else value.expand(count, *value.shape[1:])
        known[name] = every.repeat_interleave(samples, 0).to(options.device)
    names = [f"{name}" + (f" #{s + 1}" if samples > 1 else "") for name in names or ["answer"] for s in range(samples)]
    model.module.to(options.device)
    solution = _solve(model, unknown, known, options)
    _tell(model, unknown, known, solution, names, options)
    return 0


def _wanted(samples: int | None) -> int:
    if samples is not None and samples < 1:
        raise UsageError(f"--samples: wanted at least 1, got {samples}.")
    return samples or 1


def _solve(model: Model, unknown: str, known: dict[str, Tensor], options: Any) -> Solution:
    import torch

    from ..energy import Partial

    space = model.energy.spaces[unknown]
    asked: dict[str, Any] = dict(known)
    if options.hide:
        picture = inputs.picture_shape(space.shape)
        if picture is None or unknown not in known:
            raise UsageError(f"--hide: {unknown} ({space!r}) is not a picture that was given.")
        mask = inputs.hidden(options.hide, *picture[1:]).expand(picture).reshape(space.shape).to(options.device)
        asked[unknown] = Partial(known[unknown], ~mask)
    fill = model.system.fill if unknown == model.system.observed else None
    if fill is not None:
        return _filled(model, fill, unknown, asked, options)
    if options.samples and space.kind == "float":
        generator = torch.Generator().manual_seed(options.seed)
        count = len(next(iter(known.values())))
        start = space.project(torch.rand(count, *space.shape, generator=generator).to(options.device))
        if options.hide:
            start = torch.where(asked[unknown].known, asked[unknown].value, start)
        asked["init"] = start
    elif options.samples and space.size is not None:
        from ..energy import Sample

        asked["reduction"] = Sample(1.0)
        torch.manual_seed(options.seed)
    return model.infer(unknown, **asked)


def _filled(model: Model, fill: Any, unknown: str, asked: dict[str, Any], options: Any) -> Solution:
    """Answers of a system that need no search."""
    import torch

    from ..energy import Partial
    from ..inference import Solution

    count = _wanted(options.samples)
    each = {
        name: Partial(value.value[::count], value.known) if isinstance(value, Partial) else value[::count]
        for name, value in asked.items()
    }
    generator = torch.Generator().manual_seed(options.seed)
    with torch.no_grad():
        value = fill(model.energy, model.config, each, count, generator).flatten(0, 1)
    energy = model.score(**{**asked, unknown: value})
    return Solution(value, energy, torch.ones_like(energy, dtype=torch.bool), 1, {})


def _tell(
    model: Model, unknown: str, known: dict[str, Tensor], solution: Solution, names: list[str], options: Any
) -> None:
    values, energies = solution.value.cpu(), solution.energy.cpu().tolist()
    space = model.energy.spaces[unknown]
    picture = inputs.picture_shape(space.shape) if space.kind == "float" else None
    texts = (
        model.system.tell(model.energy, known, solution)
        if model.system.tell and unknown == model.system.unknown
        else None
    )
    files = _write(values.reshape(-1, *picture), names, Path(options.out)) if picture and options.out else None
    if model.system.draw and unknown == model.system.unknown:
        drawings = model.system.draw(model.energy, known, solution)
        files = _draw(drawings, names, Path(options.out or Path(options.run) / "answers"))
    answers = []
    for index, (name, energy) in enumerate(zip(names, energies, strict=True)):
        line: dict[str, Any] = {"input": name, "energy": energy, "converged": bool(solution.converged[index])}
        if files is not None:
            line["file"] = str(files[index])
        else:
            line[unknown] = values[index].tolist()
        if texts is not None:
            line["text"] = texts[index]
        elif space.kind == "int" and values[index].ndim <= 1:
            line["text"] = " ".join(_names(values[index].reshape(-1).tolist(), model.labels))
        answers.append(line)
    if options.json:
        print(json.dumps(answers, ensure_ascii=False))
        return
    for index, line in enumerate(answers):
        answer = line.get("text") or line.get("file") or ""
        print(f"{line['input']}: {answer}{'  ' if answer else ''}(energy {line['energy']:.5g})")
        if picture and files is None and texts is None:
            print(show.picture(values[index].reshape(picture)))
        elif texts is not None and files is not None:
            print(f"  drawn in {files[index]}")
        elif "text" not in line and files is None:
            print("  " + " ".join(show.number(number) for number in values[index].reshape(-1).tolist()))


def _names(values: list[int], labels: Sequence[str]) -> list[str]:
    """What a label or the symbols of a string are called; −1 is nothing."""
    return [labels[value] if labels else str(value) for value in values if value >= 0]


def _write(pictures: Tensor, names: list[str], folder: Path) -> list[Path]:
    """One PNG for each picture, ``(N, C, H, W)`` in [0, 1]."""
    from PIL import Image

    images = []
    for picture in pictures:
        pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        images.append(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
    return _save([lambda path, image=image: image.save(path, format="PNG") for image in images], names, folder)


def _draw(figures: list[Any], names: list[str], folder: Path) -> list[Path]:
    """One PNG for each figure."""
    writers = [lambda path, figure=figure: figure.savefig(path, format="png", dpi=200) for figure in figures]
    return _save(writers, names, folder)


def _save(writers: list[Any], names: list[str], folder: Path) -> list[Path]:
    """A file for each name, by a function that writes one."""
    from ..train.files import replace

    paths = []
    for index, (write, name) in enumerate(zip(writers, names, strict=True)):
        stem = "".join(c if c.isalnum() else "-" for c in Path(name).stem).strip("-") or "answer"
        paths.append(folder / f"{index:03d}-{stem}.png")
        replace(paths[-1], write)
    return paths
