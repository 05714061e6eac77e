"""The gallery as its files say it, read without running them: importing them would first load torch."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One system, as its file's call of ``register(System(...))`` describes it."""

    name: str
    area: str
    title: str
    paper: str
    rows: tuple[str, ...]
    metrics: tuple[dict[str, Any], ...]  # name, better, gate, paper, unit: what is written as a constant


def entries() -> list[Entry]:
    """Every system of the gallery, by area and name."""
    spec = find_spec("lowland.systems")
    folder = Path((spec.submodule_search_locations or [])[0]) if spec else Path()
    found = [entry for path in folder.rglob("*.py") if path.name != "__init__.py" for entry in _read(path)]
    return sorted(found, key=lambda entry: (entry.area, entry.name))


def recorded(name: str) -> dict[str, dict[str, Any]]:
    """The ledger's entries of a system, by preset."""
    result = {}
    for path in sorted((results_folder() / name).glob("*.json")):
        try:
            result[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return result


def results_folder() -> Path:
    """The ledger: ``results/`` of the source tree, or else of the present folder."""
    tree = Path(__file__).resolve().parents[3]
    return tree / "results" if (tree / "pyproject.toml").exists() else Path("results")


def _read(path: Path) -> Iterator[Entry]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and _called(call) == "System":
                fields = {word.arg: word.value for word in call.keywords if word.arg}
                metrics = fields.get("metrics")
                yield Entry(
                    _constant(fields.get("name"), path.stem),
                    path.parent.name,
                    _constant(fields.get("title"), ""),
                    _constant(fields.get("paper"), ""),
                    tuple(_constant(fields.get("rows"), ())),
                    tuple(_metric(m) for m in ast.walk(metrics) if isinstance(m, ast.Call) and _called(m) == "Metric")
                    if metrics
                    else (),
                )


def _metric(call: ast.Call) -> dict[str, Any]:
    values = dict(zip(("name", "better", "gate", "gate_source", "paper", "unit", "about"), call.args, strict=False))
    values |= {word.arg: word.value for word in call.keywords if word.arg}
    return {name: _constant(value, None) for name, value in values.items()}


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _constant(node: ast.expr | None, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else otherwise
    except ValueError:
        return otherwise
