"""How long a person waits before anything happens: imports and the first words of the command line, in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

REPEATS = 7
#: What is started, and at most how many seconds it may take.
COMMANDS = {
    "lowland --help": (["-m", "lowland", "--help"], 0.5),
    "lowland systems": (["-m", "lowland", "systems"], 1.0),
    "lowland train --help": (["-m", "lowland", "train", "--help"], 0.5),
}


def run() -> list[dict[str, Any]]:
    """A line for each: the best of several starts, so that a busy machine disturbs least."""
    core = (
        "from lowland.energy import NetworkTable, LinearReconstruction, L1; from lowland.inference import infer, FISTA; "
        "from lowland.objectives import NegativeLogLikelihood, ContrastiveDivergence"
    )
    code = f"import torch, time; began = time.perf_counter(); {core}; print(time.perf_counter() - began)"
    imported = min(float(_python(["-c", code])[1]) for _ in range(REPEATS))
    torch = min(_python(["-c", "import torch"])[0] for _ in range(REPEATS))
    lines = [
        _line(
            "import of an energy, a solver and an objective, after torch",
            imported,
            0.1,
            f"torch alone takes {torch:.2f} s",
        ),
        _line(
            "import lowland", min(_python(["-c", "import lowland"])[0] for _ in range(REPEATS)), None, "a fresh process"
        ),
    ]
    for name, (words, limit) in COMMANDS.items():
        lines.append(_line(name, min(_python(words)[0] for _ in range(REPEATS)), limit, "a fresh process"))
    return lines


def _python(words: list[str]) -> tuple[float, str]:
    """Seconds, and what was printed."""
    # as an installed package starts: its modules compiled once, whatever this shell says of bytecode
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, env=kept)
    return time.perf_counter() - began, done.stdout


def _line(name: str, seconds: float, limit: float | None, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": f"{seconds:.3f} s",
        "peer": "",
        "value": "",
        "ratio": None,
        "target": None if limit is None else f"< {limit} s",
        "met": None if limit is None else seconds < limit,
        "note": note,
    }


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
