"""The ledger as pages: ``python -m lowland.report.ledger`` writes docs/results.md and docs/gallery.md.

Both are made of ``results/<system>/<preset>.json`` and the docstrings of the gallery, and of nothing else, so that they
can't say anything that was not measured. ``--check`` writes nothing and fails if a page is not what it would write.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, LowlandError, UsageError
from ..system import System, systems
from .description import EMPHASIS, Block, Description, describe
from .figures import label
from .style import duration, number

_WANTED = ("system", "preset", "command", "seconds", "device", "seeds", "metrics")
_NOTICE = (
    "<!-- Written by `python -m lowland.report.ledger` from results/ and the docstrings of the gallery. Don't edit. -->"
)


def read_ledger(folder: str | Path) -> list[dict[str, Any]]:
    """Every entry of a ``results`` folder, by system and then preset (``cpu`` before the others).

    Raises:
        CheckpointError: If an entry is not JSON, lacks a key, or lies in another system's folder.
    """
    entries = []
    for path in sorted(Path(folder).glob("*/*.json")):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{path}: wanted a ledger entry in JSON, got something else: {error}.") from error
        missing = [key for key in _WANTED if key not in entry]
        if missing:
            raise CheckpointError(f"{path}: a ledger entry lacks {', '.join(missing)}; record it again.")
        if (entry["system"], entry["preset"]) != (path.parent.name, path.stem):
            raise CheckpointError(f"{path}: holds {entry['system']}/{entry['preset']}; move it there.")
        entries.append(entry)
    return sorted(entries, key=lambda entry: (entry["system"], entry["preset"] != "cpu", entry["preset"]))


def results_page(entries: Iterable[Mapping[str, Any]], gallery: Mapping[str, System]) -> str:
    """docs/results.md: a section for each system, a row for each metric, and why a gate was not met.

    Raises:
        UsageError: If an entry is of a system that the gallery does not have.
    """
    entries = list(entries)
    gates = [metric["met"] for entry in entries for metric in entry["metrics"] if metric.get("met") is not None]
    lines = [
        "# Results",
        "",
        _NOTICE,
        "",
        f"{_count(entries, 'record')} of {_count({entry['system'] for entry in entries}, 'system')}: "
        f"{sum(gates)} of {_count(gates, 'gate')} met. Each figure was measured on the data set's own test split, which "
        "nothing was tuned on; a value is the mean over the seeds, with their range beside it. "
        "`lowland reproduce results/SYSTEM/PRESET.json` runs an entry again and compares.",
    ]
    for entry in entries:
        if entry["system"] not in gallery:
            raise UsageError(
                f"results/{entry['system']}: the gallery has no system of that name; remove the folder or restore the system."
            )
        system = gallery[entry["system"]]
        heading = system.name if entry["preset"] == "cpu" else f"{system.name} ({entry['preset']})"
        lines += [
            "",
            f"## {heading}",
            "",
            f"{_escape(system.title.rstrip('.'))}. {_escape(system.paper.rstrip('.'))}.",
            "",
        ]
        lines += figures_lines(entry, system)
        lines += ["", "```sh", entry["command"], "```", "", _circumstances(entry)]
    return "\n".join(lines) + "\n"


def gallery_page(entries: Iterable[Mapping[str, Any]], gallery: Mapping[str, System], images: Path) -> str:
    """docs/gallery.md: what each system says of itself, its figures, and its picture if ``images/<system>.png`` exists."""
    recorded = {(entry["system"], entry["preset"]): entry for entry in entries}
    lines = [
        "# Gallery",
        "",
        _NOTICE,
        "",
        f"{_count(gallery, 'system')} of the literature, each one file: an energy, how it is shaped, how its low points are "
        "found, and what was measured ([all results](results.md)).",
    ]
    areas: dict[str, list[System]] = {}
    for system in gallery.values():
        areas.setdefault(system.area, []).append(system)
    for area, members in sorted(areas.items()):
        lines += ["", f"## {area.replace('_', ' ').capitalize()}"]
        for system in members:
            lines += ["", f"### {system.name}", *_about(system, describe(system))]
            if (images / f"{system.name}.png").exists():
                lines += ["", f"![{_escape(system.title)}]({images.name}/{system.name}.png)"]
            entry = recorded.get((system.name, "cpu"))
            lines += ["", *(figures_lines(entry, system) if entry else ["Not recorded yet."])]
            lines += ["", "```sh", f"lowland train {system.name}", "```"]
    return "\n".join(lines) + "\n"


def figures_lines(entry: Mapping[str, Any], system: System) -> list[str]:
    """The metrics of an entry as a Markdown table, and below it the reason for each gate that was not met."""
    known = {metric.name: metric for metric in system.metrics}
    lines = ["| figure | ours | range | gate | met | paper |", "| --- | --- | --- | --- | --- | --- |"]
    reasons = []
    for metric in entry["metrics"]:
        unit = known[metric["name"]].unit if metric["name"] in known else ""
        met = metric.get("met")
        cells = [
            label(metric["name"]),
            number(metric["value"], unit),
            _range(metric.get("runs") or []),
            _gate(metric, unit),
            "" if met is None else "✓" if met else "✗",
            number(metric.get("paper"), unit),
        ]
        cells = [_escape(cell) for cell in cells]
        cells[1] = f"**{cells[1]}**"
        lines.append(f"| {' | '.join(cells)} |")
        if met is False:
            reasons.append(
                f"- **{label(metric['name'])}** is not met: {_escape(metric.get('why') or 'the reason is not recorded')}"
            )
    return [*lines, *([""] if reasons else []), *reasons]


def write_pages(results: Path, docs: Path, *, check: bool = False) -> list[Path]:
    """Write both pages; return those whose content changed (with ``check``, those that would change).

    Raises:
        CheckpointError: For an entry that can't be read.
        UsageError: For an entry of a system that does not exist.
    """
    entries, gallery = read_ledger(results), systems()
    pages = {
        docs / "results.md": results_page(entries, gallery),
        docs / "gallery.md": gallery_page(entries, gallery, docs / "images"),
    }
    changed = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check:
        docs.mkdir(parents=True, exist_ok=True)
        for path in changed:
            path.write_text(pages[path], encoding="utf-8")
    return changed


def _about(system: System, description: Description) -> list[str]:
    source = system.module.replace(".", "/") + ".py"
    lines = [
        "",
        f"**{_escape(description.title)}.** {_escape(system.paper.rstrip('.'))} · {', '.join(system.rows)} · `src/{source}`",
    ]
    lines += _markdown(description.lead)
    for name, blocks in description.sections.items():
        first, rest = (blocks[0].text, blocks[1:]) if blocks and blocks[0].kind == "text" else ("", blocks)
        lines += ["", f"**{name}.** {_escape(_capital(first))}".rstrip(), *_markdown(rest)]
    return lines


def _capital(text: str) -> str:
    """The text with a capital letter first, unless it begins with a symbol like x."""
    word = text.partition(" ")[0]
    return text if len(word) == 1 and word != "a" else text[:1].upper() + text[1:]


def _markdown(blocks: Iterable[Block]) -> list[str]:
    lines: list[str] = []
    previous = ""
    for kind, text in blocks:
        if kind not in ("item", "number") or kind != previous:
            lines.append("")
        if kind == "code":
            lines += ["```text", *text.splitlines(), "```"]
        else:
            lines.append({"item": "- ", "number": "1. "}.get(kind, "") + _escape(text))
        previous = kind
    return lines


def _circumstances(entry: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, entry["seeds"]))
    parts = [
        f"{duration(entry['seconds'])} a run" if len(entry["seeds"]) > 1 else duration(entry["seconds"]),
        entry["device"],
        f"seed{'s' if len(entry['seeds']) > 1 else ''} {seeds}" if seeds else "",
        ", ".join(f"{name} {version}" for name, version in (entry.get("versions") or {}).items()),
        f"recorded {str(entry['recorded'])[:10]}" if entry.get("recorded") else "",
    ]
    return " · ".join(_escape(str(part)) for part in parts if part)


def _range(runs: list[float]) -> str:
    return f"{number(min(runs))} … {number(max(runs))}" if len(runs) > 1 else "one run"


def _gate(metric: Mapping[str, Any], unit: str) -> str:
    if metric.get("gate") is None:
        return "–"
    source = f" ({metric['gate_source']})" if metric.get("gate_source") else ""
    return f"{'≤' if metric['better'] == 'lower' else '≥'} {number(metric['gate'], unit)}{source}"


def _escape(text: str) -> str:
    """Text for Markdown: what is not in backticks keeps its stars, bars and angle brackets."""
    parts = text.split("`")
    for index in range(0, len(parts), 2):
        plain = EMPHASIS.split(parts[index].replace("<", "&lt;").replace("|", "\\|"))
        # Every other piece is what stood between a pair of stars.
        stars = [f"*{piece}*" if at % 2 else piece.replace("*", "\\*") for at, piece in enumerate(plain)]
        parts[index] = "".join(stars)
    return "`".join(parts)


def _count(things: Any, name: str) -> str:
    count = len(things)
    return f"{count} {name}{'' if count == 1 else 's'}"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lowland.report.ledger", description="Write docs/results.md and docs/gallery.md."
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="the folder of the ledger (default: results)"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="the folder of the pages (default: docs)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    options = parser.parse_args(arguments)
    try:
        changed = write_pages(options.results, options.docs, check=options.check)
    except LowlandError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    for path in changed:
        print(f"{path}: out of date, run `python -m lowland.report.ledger`" if options.check else f"{path}: written")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
