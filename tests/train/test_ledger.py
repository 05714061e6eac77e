"""The ledger: its shape, which other tools read, and that an entry can be measured again."""

import json
import math

import pytest

from lowland.errors import CheckpointError, UsageError
from lowland.train import Settings, ledger, record, reproduce

PLAIN = Settings(preset="smoke", device="cpu")
KEYS = [
    "system",
    "rows",
    "preset",
    "command",
    "recorded",
    "seconds",
    "device",
    "versions",
    "seeds",
    "config",
    "data",
    "metrics",
]
METRIC = ["name", "value", "runs", "better", "gate", "gate_source", "paper", "met"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_entry_has_the_promised_shape(system, tmp_path):
    finished = []
    path, entry, first = record(
        system,
        settings=PLAIN,
        results=tmp_path / "results",
        why={"noise": "it is drawn from [0, 1)"},
        shown=False,
        finish=lambda run: finished.append(run.folder) or run.folder,
    )
    assert path == tmp_path / "results" / "logistic_digits" / "smoke.json"
    assert json.loads(path.read_text()) == entry and list(entry) == KEYS
    assert entry["seeds"] == [0, 1, 2] and len(finished) == 3 and first == finished[0]
    assert entry["command"] == "lowland train logistic_digits --preset smoke --record"
    error, noise = entry["metrics"]
    assert list(error) == METRIC and list(noise) == [*METRIC, "why"]
    assert len(error["runs"]) == 3 and len(set(noise["runs"])) == 3
    assert error["value"] == pytest.approx(math.fsum(error["runs"]) / 3)
    assert (
        error["met"] is (error["value"] <= 60) and noise["met"] is False and noise["why"] == "it is drawn from [0, 1)"
    )
    assert set(entry["data"]["digits"]) == {"split", "samples", "sha256"}


def test_a_reason_is_kept_when_it_is_recorded_again(system, tmp_path):
    record(system, settings=PLAIN, seeds=1, results=tmp_path, why={"noise": "it is drawn from [0, 1)"}, shown=False)
    _, entry, _ = record(system, settings=PLAIN, seeds=1, results=tmp_path, shown=False)
    assert entry["metrics"][1]["why"] == "it is drawn from [0, 1)" and entry["seeds"] == [0]


def test_a_long_run_is_recorded_once(system, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "LONG", 0.0)
    assert record(system, settings=PLAIN, results=tmp_path, shown=False)[1]["seeds"] == [0]


def test_an_entry_is_reproduced_to_the_last_bit(system, tmp_path):
    path, entry, _ = record(system, settings=PLAIN, seeds=2, results=tmp_path, shown=False)
    comparisons = reproduce(path, device="cpu", shown=False)
    assert [one.name for one in comparisons] == ["test_error", "noise"]
    assert all(one.identical and one.agrees for one in comparisons)
    runs = entry["metrics"][0]["runs"]
    assert comparisons[0].allowed == pytest.approx(max(max(runs) - min(runs), 0.02 * entry["metrics"][0]["value"]))
    only = reproduce(path, device="cpu", seeds=1, shown=False)
    assert only[0].recorded == runs[0] and only[0].identical


def test_a_figure_that_differs_is_found(system, tmp_path):
    path, entry, _ = record(system, settings=PLAIN, seeds=1, results=tmp_path, shown=False)
    entry["metrics"][0]["runs"] = [entry["metrics"][0]["runs"][0] * 1.1]
    path.write_text(json.dumps(entry))
    error, noise = reproduce(path, device="cpu", shown=False)
    assert not error.agrees and not error.identical and noise.agrees


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such result"),
        ("{", "not a result"),
        ("[]", "not a result"),
        ('{"system": "x"}', "it lacks config, metrics, preset, seeds"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, content, complaint):
    path = tmp_path / "entry.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=complaint):
        reproduce(path)


@pytest.mark.parametrize(("settings", "complaint"), [({"steps": 3}, "--steps"), ({"devices": 2}, "--devices")])
def test_what_is_no_result_is_not_recorded(system, tmp_path, settings, complaint):
    with pytest.raises(UsageError, match=complaint):
        record(system, settings=Settings(preset="smoke", **settings), results=tmp_path)
    assert not list(tmp_path.iterdir())
