"""``python -m bench [NAME ...]``: run the benchmarks, print a table, write ``bench/results.json`` and ``docs/bench.md``.

Every file of this folder with a ``run`` function is one, and runs in a process of its own. Peers that are not installed are
left out; ``make bench`` installs them.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS, PAGE = FOLDER / "results.json", FOLDER.parent / "docs" / "bench.md"
PEERS = (
    *("scikit-learn", "faiss-cpu", "spams-bin", "torchebm", "ebmkit", "lightning"),
    *("torch-struct", "hmmlearn", "pomegranate", "dynamax", "jax", "torch-world", "torchrl", "transformers"),
)
COLUMNS = ("what", "ours", "peer", "times", "target", "met", "value")


def names() -> list[str]:
    """The files that define ``run``."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        if "run" in functions and path.stem != "__main__":
            found.append(path.stem)
    return found


def measure(name: str) -> list[dict[str, Any]]:
    """The lines of one benchmark; a single line with the reason if it failed."""
    done = subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=FOLDER.parent, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return [_blank(f"{name} failed", reason[0])]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _blank(name: str, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": "",
        "peer": "",
        "value": "",
        "ratio": None,
        "target": None,
        "met": False,
        "note": note,
    }


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was before."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    busy = os.getloadavg()[0]
    return {
        "processor": cpu,
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load_before": round(busy, 2),
        "quiet": busy < 0.5,
        "python": platform.python_version(),
        "torch": version("torch"),
        "measured": time.strftime("%Y-%m-%d"),
    }


def installed() -> dict[str, str | None]:
    """Version of each peer; ``None`` where it is missing."""
    found: dict[str, str | None] = {}
    for peer in PEERS:
        try:
            found[peer] = version(peer)
        except PackageNotFoundError:
            found[peer] = None
    return found


def row(line: dict[str, Any]) -> list[str]:
    ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
    met = {None: "", True: "yes", False: "**no**"}[line["met"]]
    said = "; ".join(part for part in (line["value"], line["note"]) if part)
    return [line["name"], line["ours"], line["peer"], ratio, line["target"] or "", met, said]


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """A markdown table for each benchmark and each processor it was measured on."""
    parts = []
    for name, tables in results.items():
        parts.append(f"## {name.replace('_', ' ').capitalize()}")
        for measured in tables:
            head = [_where(measured["machine"]), "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
            parts.append("\n".join([*head, *(_row(row(line)) for line in measured["lines"])]))
    return "\n\n".join(parts)


def _where(on: dict[str, Any]) -> str:
    busy = "the machine was quiet" if on["quiet"] else f"the machine was busy (load {on['load_before']} before)"
    return (
        f"{on['processor']}, {on['cores']} cores, {on['threads']} threads, torch {on['torch']}, Python {on['python']}, "
        f"{on['measured']}; {busy}."
    )


def _row(cells: Any) -> str:
    return f"| {' | '.join(cell.replace('|', '¦') for cell in cells)} |"


def page(peers: dict[str, str | None], results: dict[str, list[dict[str, Any]]]) -> str:
    """What stands in the documentation."""
    here = ", ".join(f"{peer} {number}" for peer, number in peers.items() if number)
    missing = ", ".join(peer for peer, number in peers.items() if not number)
    text = (
        "# Speed\n\n"
        "Made by `make bench`; every line runs beside its peer in one process, in turns, and the best of several turns counts. *Times* is "
        "the peer's time over ours, or what the line says; *value* shows that both did the same work. Compare times within a table: "
        "each names its machine, and what was measured on another processor stays beside what is new.\n\n"
    )
    text += f"Peers: {here or 'none'}." + (f" Not installed: {missing}." if missing else "")
    return f"{text}\n\n{table(results)}\n"


def main(wanted: list[str]) -> int:
    known = names()
    if unknown := set(wanted) - set(known):
        print(
            f"bench: no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}.",
            file=sys.stderr,
        )
        return 2
    on, peers = machine(), installed()
    for peer, number in peers.items():
        if number is None:
            print(
                f"bench: {peer} is not installed, so nothing is compared with it; `make bench` installs it.",
                file=sys.stderr,
            )
    if not on["quiet"]:
        print(
            f"bench: the machine is busy (load {on['load_before']}): times may mislead, ratios less.", file=sys.stderr
        )
    before = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else {}
    results, lines = {name: before[name] for name in known if name in before}, []
    for name in wanted or known:
        print(f"\n{name}", flush=True)
        found = measure(name)
        for cells in map(row, found):
            print("  " + "  ·  ".join(cell for cell in cells if cell), flush=True)
        elsewhere = [one for one in results.get(name, []) if one["machine"]["processor"] != on["processor"]]
        results[name] = [*elsewhere, {"machine": on, "lines": found}]
        lines += found
    results = {name: results[name] for name in known if name in results}
    RESULTS.write_text(json.dumps({"peers": peers, "results": results}, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(peers, results))
    met, asked = sum(line["met"] is True for line in lines), sum(line["met"] is not None for line in lines)
    print(f"\n{met} of {asked} targets met; written to {RESULTS} and {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
