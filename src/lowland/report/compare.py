"""Several energies, or several runs, beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, UsageError
from .curves import Curve, Series, draw_terms, terms
from .figures import label, measured
from .landscape import landscapes
from .picture import Picture, Pictures, table
from .style import duration


def compare(what: Mapping[str, Any] | Sequence[str | Path], variable: str | None = None, **options: Any) -> Pictures:
    """Energies over one variable on one colour scale, or runs: their curves on the same axes and a table of their figures.

    Args:
        what: ``{title: energy}`` with ``variable``; or run folders, as a list or ``{title: folder}``.
        variable: Which variable the energies are drawn over.
        **options: For `landscapes` (``data``, ``extent``, ...), when energies are compared.

    Raises:
        UsageError: If energies come without a variable, or nothing comes at all.
        CheckpointError: If a folder holds no run.
    """
    named: dict[str, Any] = {}
    named.update(what if isinstance(what, Mapping) else {Path(folder).name: folder for folder in what})
    if not named:
        raise UsageError("compare: wanted at least one energy or run folder, got none.")
    if all(isinstance(item, str | Path) for item in named.values()):
        return _runs({title: Path(folder) for title, folder in named.items()})
    if variable is None:
        raise UsageError("compare: wanted `variable`, the name of what the energies are drawn over.")
    title = " · ".join(named)
    return Pictures(
        [
            Picture(
                title, "One colour scale: the same colour is the same energy.", landscapes(named, variable, **options)
            )
        ]
    )


def _runs(folders: Mapping[str, Path]) -> Pictures:
    results = {title: _result(folder) for title, folder in folders.items()}
    names = list(dict.fromkeys(name for result in results.values() for name in measured(result)))
    rows = [
        {"": label(name), **{title: measured(result).get(name) for title, result in results.items()}} for name in names
    ]
    for fact in ("preset", "seed"):
        rows.append({"": fact, **{title: str(result.get(fact, "–")) for title, result in results.items()}})
    rows.append({"": "time", **{title: duration(result.get("seconds")) for title, result in results.items()}})
    pictures = [Picture("Figures", "", table(rows, ["", *results]))]
    together: dict[str, dict[str, Curve]] = {}
    for title, folder in folders.items():
        if (folder / "metrics.jsonl").exists():
            for term, series in terms(folder).items():
                stages = list(dict.fromkeys(stage for stage, _ in series))
                for stage in stages:
                    split = "validation" if Series(stage, "validation") in series else "train"
                    name = f"{title} · {stage}" if len(stages) > 1 else title
                    if Series(stage, split) in series:
                        together.setdefault(term, {})[name] = series[Series(stage, split)]
    if together:
        caption = "Each term over the steps, on validation data where it was measured there, else on training data."
        pictures.insert(0, Picture("Curves", caption, draw_terms(together)))
    return Pictures(pictures)


def _result(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{folder}: wanted a finished run (with result.json), got {error.strerror}.") from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{folder / 'result.json'}: wanted JSON, got something else: {error}.") from error
