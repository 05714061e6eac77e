"""Write the tables of pages from the ledger: ``python docs/tables.py``. The tests check that pages and ledger agree."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from lowland.systems.unsupervised.strategies import STRATEGY

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
#: The presets of `translate` from German to English, and what they are called.
TRANSLATORS = {
    "encoder_decoder": "encoder–decoder",
    "attention": "with attention",
    "convolutional": "gated convolutions",
    "cpu": "Transformer",
}


def metrics(system: str, preset: str = "cpu") -> dict[str, float]:
    """What the ledger holds of a system: metric to value."""
    entry = json.loads((RESULTS / system / f"{preset}.json").read_text(encoding="utf-8"))
    return {metric["name"]: metric["value"] for metric in entry["metrics"]}


def strategies() -> str:
    """A row for each objective of the seven strategies."""
    found = metrics("strategies")
    lines = [
        "| strategy | shaped by | spiral: −log p (nats) | as low as the data | digits told apart | cost of a step |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        f"| | *the density they were drawn from* | {found['truth_nll']:.2f} | | | |",
    ]
    for name, strategy in STRATEGY.items():
        cost = f"{found[f'{name}_cost']:.1f} ms" if f"{name}_cost" in found else "closed form"
        lines.append(
            f"| {strategy} | {name.replace('_', ' ')} | {found[f'{name}_nll']:.2f} | {found[f'{name}_volume']:.0f} % "
            f"| {found[f'{name}_told_apart']:.0f} % | {cost} |"
        )
    return "\n".join(lines)


def translations() -> str:
    """A row for each net that translates."""
    lines = [
        "| net | BLEU | short | medium | long | words spelt alike that are looked at | cost of a symbol |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for preset, net in TRANSLATORS.items():
        if (RESULTS / "translate" / f"{preset}.json").exists():
            found = metrics("translate", preset)
            looked = f"{found['alignment']:.0f} %" if found["alignment"] else ""
            thirds = " | ".join(f"{found[f'bleu_{length}']:.1f}" for length in ("short", "medium", "long"))
            lines.append(f"| {net} | {found['bleu']:.1f} | {thirds} | {looked} | {found['cost']:.2f} nats |")
    return "\n".join(lines)


#: What stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
TABLES: dict[str, Callable[[], str]] = {"strategies": strategies, "translations": translations}


def filled(page: str) -> str:
    """A page with its tables as the ledger says."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}",
        page,
        flags=re.S,
    )


if __name__ == "__main__":
    for path in DOCS.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        if filled(text) != text:
            path.write_text(filled(text), encoding="utf-8")
            print(path)
