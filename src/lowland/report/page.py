"""The report of a run: one HTML page that needs nothing else, on a screen of any size, light or dark."""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..system import System
from .curves import curves, terms
from .description import EMPHASIS, Block, describe
from .figures import figures_table, measured
from .picture import Picture
from .style import duration

#: Sections of a docstring that say how the system works; the others come after the pictures.
_HOW = ("Training", "No collapse")


def write_report(
    folder: str | Path, system: System, result: Mapping[str, Any], pictures: Iterable[Picture] = ()
) -> Path:
    """Write ``report.html`` into a run folder and return its path.

    Args:
        folder: The run. Its ``metrics.jsonl`` becomes the curves and its ``config.yaml`` is shown, if they are there.
        system: What was run.
        result: As in ``result.json``; all keys may be missing: ``metrics`` [{name, value, ...}], ``preset``, ``seed``,
            ``seconds``, ``config``, ``device``, ``versions``, ``data`` {name: {split, samples, sha256}}, ``command``, ``finished``.
        pictures: The best first.
    """
    folder = Path(folder)
    shown = list(pictures)
    figures = measured(result)
    metrics = system.metrics_under(result.get("preset", "cpu"))
    judged = [metric.met(float(figures[metric.name])) for metric in metrics if metric.name in figures]
    description = describe(system)
    log = folder / "metrics.jsonl"
    logged = log.exists() and terms(log)
    config = folder / "config.yaml"
    page = _template().render(
        system=system,
        description=description,
        how={name: blocks for name, blocks in description.sections.items() if name in _HOW},
        notes={name: blocks for name, blocks in description.sections.items() if name not in _HOW},
        smoke=result.get("preset") == "smoke",
        met=sum(verdict is True for verdict in judged),
        gates=sum(verdict is not None for verdict in judged),
        figures=figures_table(figures, metrics).html if figures else "",
        hero=shown[0] if shown else None,
        rows=_rows(shown[1:]),
        curves=Picture("Curves", "", curves(log), alt="What was logged while it ran").body if logged else "",
        facts=_facts(result),
        command=result.get("command") or command(system, result),
        config=config.read_text(encoding="utf-8") if config.exists() else "",
        data=result.get("data") or {},
        versions=result.get("versions") or {},
    )
    path = folder / "report.html"
    unfinished = path.with_suffix(".html.part")
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)
    return path


def command(system: System, result: Mapping[str, Any]) -> str:
    """The command that repeats a run: its preset and seed, and the options that differ from the preset."""
    words = ["lowland", "train", system.name]
    preset = result.get("preset") or "cpu"
    if preset != "cpu":
        words += ["--preset", preset]
    if result.get("seed"):
        words += ["--seed", str(result["seed"])]
    usual = vars(system.configure(preset))
    for name, value in (result.get("config") or {}).items():
        if name in usual and value != (list(usual[name]) if isinstance(usual[name], tuple) else usual[name]):
            words += [f"--{name}", json.dumps(value) if isinstance(value, list | dict) else str(value)]
    return shlex.join(words)


def _rows(pictures: list[Picture]) -> list[list[Picture]]:
    """Pictures in order: each wide one alone, the narrow ones between them together in two columns."""
    return [
        row
        for wide, group in itertools.groupby(pictures, lambda picture: picture.wide)
        for row in ([[picture] for picture in group] if wide else [list(group)])
    ]


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    facts = {name: result.get(name) for name in ("preset", "seed", "device")}
    facts["time"] = duration(result["seconds"]) if result.get("seconds") is not None else None
    facts["finished"] = str(result.get("finished") or result.get("recorded") or "")[:16].replace("T", " ") or None
    return {name: str(value) for name, value in facts.items() if value is not None}


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lowland.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["blocks"] = _blocks
    environment.filters["inline"] = _inline
    return environment.get_template("report.html.jinja")


def _inline(text: str) -> Any:
    """Plain text as HTML, with `backticks` (one or two) as code and *stars* as emphasis."""
    from markupsafe import Markup

    parts = re.split(r"(``?[^`]+``?)", html.escape(text))
    for index, part in enumerate(parts):
        code = part.startswith("`")
        parts[index] = f"<code>{part.strip('`')}</code>" if code else EMPHASIS.sub(r"<em>\1</em>", part)
    return Markup("".join(parts))


def _blocks(blocks: Iterable[Block]) -> Any:
    """Blocks of a docstring as HTML."""
    from markupsafe import Markup

    parts, listing = [], ""
    for kind, text in blocks:
        element = {"item": "ul", "number": "ol"}.get(kind, "")
        if listing != element:
            parts.append((f"</{listing}>" if listing else "") + (f"<{element}>" if element else ""))
            listing = element
        if element:
            parts.append(f"<li>{_inline(text)}</li>")
        elif kind == "code":
            parts.append(f"<pre>{html.escape(text)}</pre>")
        else:
            parts.append(f"<p>{_inline(text)}</p>")
    return Markup("".join(parts) + (f"</{listing}>" if listing else ""))
