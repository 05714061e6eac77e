"""No forgotten or incomplete file in the gallery: each is registered, explained, measured, and all of it learns."""

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import lowland.systems
from lowland.contracts import ContractError, check_system
from lowland.energy import Energy
from lowland.spaces import Real
from lowland.system import Data, Metric, System, systems
from lowland.train import Player, Trainer

GALLERY = Path(lowland.systems.__path__[0])
RESULTS = GALLERY.parents[2] / "results"
SECTIONS = ("Training", "No collapse", "Sources", "Expect", "Known failure")
ENTRY = {
    "system": str, "rows": list, "preset": str, "command": str, "recorded": str, "seconds": int | float, "device": str,
    "versions": dict, "seeds": list, "config": dict, "data": dict, "metrics": list,
}  # fmt: skip
METRIC = {
    "name": str, "value": int | float, "runs": list, "better": str, "gate": int | float | None, "gate_source": str,
    "paper": int | float | None, "met": bool | None,
}  # fmt: skip
FIVE_MINUTES = 300
SOURCE = {"split": str, "samples": int, "sha256": dict}


def files(gallery: Path) -> list[Path]:
    return sorted(path for path in gallery.rglob("*.py") if path.name != "__init__.py")


def faults(path: Path, gallery: Path, registered: Mapping[str, System], results: Path) -> list[str]:
    """A sentence for each thing that a file of the gallery lacks."""
    inside = path.relative_to(gallery).with_suffix("")
    module = ".".join(["lowland", "systems", *inside.parts])
    found = [f"{inside} {sentence}" for sentence in _missing_sections(path)]
    mine = [system for system in registered.values() if system.module == module]
    if [system.name for system in mine] != [path.stem]:
        names = ", ".join(system.name for system in mine) or "nothing"
        return [*found, f"{inside} registers {names}; wanted one system called {path.stem!r}"]
    entries = sorted((results / path.stem).glob("*.json"))
    if "cpu" not in {entry.stem for entry in entries}:
        return [
            *found,
            f"{inside} has no ledger entry: `lowland train {path.stem} --record` writes results/{path.stem}/cpu.json",
        ]
    return found + [
        f"results/{path.stem}/{entry.name}: {sentence}"
        for entry in entries
        for sentence in _misreported(mine[0], entry.stem, json.loads(entry.read_text()))
    ]


def _missing_sections(path: Path) -> list[str]:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):", text, flags=re.M)
    said = {name for name, words in zip(parts[1::2], parts[2::2], strict=True) if words.strip()}
    return [f"says nothing under '{name}:'" for name in SECTIONS if name not in said]


def _misshapen(what: str, record: object, shape: Mapping[str, type], optional: tuple[str, ...] = ()) -> list[str]:
    if not isinstance(record, dict):
        return [f"{what} is no mapping"]
    found = [f"{what} lacks {key!r}" for key in shape if key not in record]
    found += [f"{what} has {key!r}, which is not in its shape" for key in record if key not in (*shape, *optional)]
    return found + [
        f"{what}: {key!r} is {record[key]!r}"
        for key in shape
        if key in record and not isinstance(record[key], shape[key])
    ]


def _misreported(system: System, preset: str, entry: dict) -> list[str]:
    """Where a ledger entry departs from its shape, from its system's metrics, or from itself."""
    found = _misshapen("the entry", entry, ENTRY)
    if found:
        return found
    for name, source in entry["data"].items():
        found += _misshapen(f"data {name!r}", source, SOURCE)
    for metric in entry["metrics"]:
        found += _misshapen("a metric", metric, METRIC, optional=("why",))
    if found:
        return found
    if preset not in {"cpu", *system.presets}:
        found.append(f"is of the preset {preset!r}, which the system lacks")
    if (entry["system"], entry["preset"], entry["rows"]) != (system.name, preset, list(system.rows)):
        found.append(f"is of {entry['system']!r}, preset {entry['preset']!r}, rows {entry['rows']}")
    if len(entry["seeds"]) < (3 if entry["seconds"] < FIVE_MINUTES else 1):
        found.append(
            f"{len(entry['seeds'])} seeds of {entry['seconds']} s each; a run under five minutes is repeated 3 times"
        )
    reported = {metric["name"]: metric for metric in entry["metrics"]}
    if reported.keys() != {metric.name for metric in system.metrics}:
        found.append(
            f"reports {sorted(reported)}, the system promises {sorted(metric.name for metric in system.metrics)}"
        )
    for promised in system.metrics_under(preset):
        if promised.name in reported:
            found += [f"{promised.name}: {s}" for s in _inconsistent(promised, reported[promised.name], entry["seeds"])]
    return found


def _inconsistent(promised: Metric, metric: dict, seeds: list) -> list[str]:
    found = []
    if not metric["runs"] or len(metric["runs"]) != len(seeds):
        return [f"{len(metric['runs'])} runs of {len(seeds)} seeds"]
    mean = math.fsum(metric["runs"]) / len(metric["runs"])
    if not math.isclose(metric["value"], mean, rel_tol=1e-6, abs_tol=1e-12):
        found.append(f"the value {metric['value']} is not the mean of its runs, {mean}")
    if (metric["better"], metric["gate"]) != (promised.better, promised.gate):
        found.append(f"gate {metric['gate']} ({metric['better']}), the system says {promised.gate} ({promised.better})")
    if metric["met"] != promised.met(metric["value"]):
        found.append(f"met is {metric['met']} for {metric['value']}, gate {promised.gate}")
    if metric["met"] is False and not metric.get("why"):
        found.append("a gate that was not met stays, with a 'why'")
    return found


@pytest.mark.parametrize("path", files(GALLERY), ids=lambda path: path.stem)
def test_a_file_of_the_gallery_is_complete(path):
    assert faults(path, GALLERY, systems(), RESULTS) == []


@pytest.mark.parametrize("path", files(GALLERY), ids=lambda path: path.stem)
def test_a_system_keeps_its_contract(path):
    """Among others: a smoke training moves every parameter."""
    check_system(systems()[path.stem], Trainer(seed=0))


def test_the_ledger_is_of_systems_there_are():
    assert {folder.name for folder in RESULTS.glob("*")} <= {path.stem for path in files(GALLERY)}


# The guard itself, seen failing on planted faults.

DOCSTRING = "\n\n".join(["A toy."] + [f"{name}: something." for name in SECTIONS])


@pytest.fixture
def toy(tmp_path) -> dict:
    """A complete system: its file, its record and its ledger entry."""
    gallery, results = tmp_path / "systems", tmp_path / "results"
    path = gallery / "area" / "toy.py"
    path.parent.mkdir(parents=True)
    path.write_text(f'"""{DOCSTRING}"""')
    system = System(
        name="toy", title="", rows=("R99",), paper="", config=object, presets={"large": {}}, module="lowland.systems.area.toy",
        build=print, data=print, train=print, evaluate=print, figures=print,
        metrics=(Metric("error", "lower", gate=2.0, presets={"large": {"gate": 1.5}}), Metric("spread", "higher")),
    )  # fmt: skip
    metric = {"gate_source": "own", "paper": None, "runs": [1.0, 1.5, 2.0]}
    entry = {
        "system": "toy", "rows": ["R99"], "preset": "cpu", "command": "lowland train toy", "recorded": "2026-11-21",
        "seconds": 1.0, "device": "cpu", "versions": {}, "seeds": [0, 1, 2], "config": {},
        "data": {"digits": {"split": "test", "samples": 3, "sha256": {}}},
        "metrics": [
            {**metric, "name": "error", "value": 1.5, "better": "lower", "gate": 2.0, "met": True},
            {**metric, "name": "spread", "value": 1.5, "better": "higher", "gate": None, "met": None},
        ],
    }  # fmt: skip
    return {"path": path, "gallery": gallery, "results": results, "registered": {"toy": system}, "entry": entry}


def judge(toy: dict) -> list[str]:
    entry = toy["entry"]
    if entry is not None:
        (toy["results"] / "toy").mkdir(parents=True, exist_ok=True)
        (toy["results"] / "toy" / "cpu.json").write_text(json.dumps(entry))
    return faults(**{name: value for name, value in toy.items() if name != "entry"})


def test_a_complete_system_is_let_through(toy):
    assert judge(toy) == []


def test_the_entries_of_other_presets_are_judged_by_their_own_gates(toy):
    (toy["results"] / "toy").mkdir(parents=True)
    for preset, gate in (("large", 1.5), ("huge", 2.0)):
        toy["entry"]["metrics"][0]["gate"] = gate
        (toy["results"] / "toy" / f"{preset}.json").write_text(json.dumps({**toy["entry"], "preset": preset}))
    toy["entry"]["metrics"][0]["gate"] = 2.0
    assert judge(toy) == ["results/toy/huge.json: is of the preset 'huge', which the system lacks"]
    toy["entry"]["metrics"][0]["gate"] = 1.6
    (toy["results"] / "toy" / "large.json").write_text(json.dumps({**toy["entry"], "preset": "large"}))
    assert any("gate 1.6 (lower), the system says 1.5 (lower)" in fault for fault in judge({**toy, "entry": None}))


def test_a_file_that_registers_nothing_is_found(toy):
    assert judge({**toy, "registered": {}}) == ["area/toy registers nothing; wanted one system called 'toy'"]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("left", ["", "{section}:"])
def test_a_missing_or_empty_section_is_found(toy, section, left):
    text = DOCSTRING.replace(f"{section}: something.", left.format(section=section))
    toy["path"].write_text(f'"""{text}"""')
    assert judge(toy) == [f"area/toy says nothing under '{section}:'"]


def test_a_missing_ledger_entry_is_found(toy):
    assert "has no ledger entry" in judge({**toy, "entry": None})[0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda entry: entry.pop("device"), "the entry lacks 'device'"),
        (lambda entry: entry.update(note="x"), "'note', which is not in its shape"),
        (lambda entry: entry.update(seconds="1"), "'seconds' is '1'"),
        (lambda entry: entry.update(rows=["R01"]), "rows ['R01']"),
        (lambda entry: entry["data"]["digits"].pop("sha256"), "data 'digits' lacks 'sha256'"),
        (lambda entry: entry.update(seeds=[0]), "1 seeds of 1.0 s each"),
        (lambda entry: entry["metrics"].pop(), "reports ['error'], the system promises ['error', 'spread']"),
        (lambda entry: entry["metrics"][0].pop("paper"), "a metric lacks 'paper'"),
        (lambda entry: entry["metrics"][0].update(value=1.2), "not the mean of its runs"),
        (lambda entry: entry["metrics"][0].update(runs=[1.5]), "1 runs of 3 seeds"),
        (lambda entry: entry["metrics"][0].update(gate=3.0), "the system says 2.0"),
        (lambda entry: entry["metrics"][0].update(met=False), "met is False for 1.5"),
        (lambda entry: entry["metrics"][0].update(runs=[3, 3, 3], value=3, met=False), "with a 'why'"),
    ],
)
def test_a_faulty_ledger_entry_is_found(toy, change, complaint):
    change(toy["entry"])
    assert any(complaint in fault for fault in judge(toy))


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


class Lazy(Energy):
    """½‖x − centre‖², and a parameter that nothing depends on."""

    def __init__(self) -> None:
        super().__init__(x=Real(2))
        self.centre, self.dead = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

    def energies(self, x):
        return 0.5 * (x - self.centre).square().sum(-1)


def test_a_parameter_that_gets_no_gradient_is_found():
    def train(model, config, data, trainer):
        player = Player("all", model, lambda batch: model(**batch).mean(), lambda p: torch.optim.SGD(p, lr=0.1))
        trainer.fit("all", player, data.train, steps=1)

    lazy = System(
        name="lazy", title="Lazy", rows=("R99",), paper="none", config=Config, presets={"smoke": {}},
        build=lambda config: Lazy(), data=lambda config: Data({"x": torch.ones(4, 2)}, sources={"ones": {}}),
        train=train, evaluate=lambda *_: {}, figures=lambda *_: [], metrics=(),
    )  # fmt: skip
    with pytest.raises(ContractError, match="dead"):
        check_system(lazy, Trainer(seed=0))
