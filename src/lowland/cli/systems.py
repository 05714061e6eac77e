"""``lowland systems [AREA]``: what there is, the paper's figure and ours."""

from __future__ import annotations

import json
from typing import Any

from ..errors import UsageError
from . import show
from .gallery import Entry, entries, recorded
from .options import Parser


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser("systems", "What there is: name, paper, the paper's figure, ours.")
    parser.add_argument("area", metavar="AREA", nargs="?", help="only this area")
    options = parser.parse_args(arguments)
    found = entries()
    areas = sorted({entry.area for entry in found})
    if options.area is not None:
        if options.area not in areas:
            raise UsageError(f"there is no area {options.area!r}; there are {', '.join(areas) or 'none yet'}.")
        found = [entry for entry in found if entry.area == options.area]
    if options.json:
        lines = [{**entry._asdict(), "ours": recorded(entry.name)} for entry in found]
        print(json.dumps(lines, ensure_ascii=False))
        return 0
    for area in sorted({entry.area for entry in found}):
        rows = [("name", "what", "paper", "figure", "theirs", "ours")]
        rows += [_row(entry) for entry in found if entry.area == area]
        print(f"{area}\n{show.table(rows)}\n")
    print("`lowland train NAME` trains one; `lowland train NAME --help` says what can be set.")
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    measured = _measured(entry)
    metric = next((m for m in entry.metrics if m.get("paper") is not None), entry.metrics[0] if entry.metrics else {})
    unit = f" {metric['unit']}" if metric.get("unit") else ""
    theirs, ours = metric.get("paper"), measured.get(metric.get("name") or "")
    return (
        entry.name,
        _short(entry.title, 48),
        _short(entry.paper, 36),
        (metric.get("name") or "").replace("_", " "),
        "" if theirs is None else show.number(theirs) + unit,
        "not recorded" if ours is None else show.number(ours) + unit,
    )


def _measured(entry: Entry) -> dict[str, Any]:
    ledger = recorded(entry.name)
    best = ledger.get("cpu") or next(iter(ledger.values()), {"metrics": []})
    return {metric["name"]: metric["value"] for metric in best["metrics"]}


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
