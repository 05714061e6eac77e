"""The benchmarks' table: every file is found, a failure is a line and not the end, and what is missing is said."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MACHINE = ("processor", "cores", "threads", "load_before", "torch", "python", "measured")


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The program, writing to a folder of its own."""
    monkeypatch.syspath_prepend(ROOT)
    program = importlib.import_module("bench.__main__")
    monkeypatch.setattr(program, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(program, "PAGE", tmp_path / "bench.md")
    return program


def line(**changes) -> dict:
    found = {
        "name": "a | b",
        "ours": "1 ms",
        "peer": "p 2 ms",
        "value": "v",
        "ratio": 2.0,
        "target": "≥ 1",
        "met": True,
    }
    return found | {"note": "n"} | changes


def test_every_file_that_runs_is_found(bench):
    assert {"kmeans", "samplers", "energy_call"} <= set(bench.names())
    assert not {"__main__", "timing"} & set(bench.names())


def test_a_table_and_the_record_are_written(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "measure", lambda name: [line(), line(met=False, ratio=None, note="")])
    assert bench.main(["kmeans"]) == 0
    assert "1 of 2 targets met" in capsys.readouterr().out
    page = bench.PAGE.read_text()
    assert "| a ¦ b | 1 ms | p 2 ms | 2.00 | ≥ 1 | yes | v; n |" in page and "**no**" in page
    monkeypatch.setattr(bench, "measure", lambda name: [line(name="other")])
    monkeypatch.setattr(bench, "machine", lambda: dict.fromkeys(MACHINE, "x") | {"processor": "Another", "quiet": True})
    bench.main(["samplers"])
    kept = json.loads(bench.RESULTS.read_text())["results"]
    assert set(kept) == {"kmeans", "samplers"}
    assert kept["kmeans"][0]["machine"]["processor"] != "Another" == kept["samplers"][0]["machine"]["processor"]
    kmeans, samplers = bench.PAGE.read_text().split("## ")[1:]
    assert "Another" in samplers and "the machine was quiet" in samplers and "Another" not in kmeans


def test_what_another_processor_did_stays_and_what_this_one_did_is_replaced(bench, monkeypatch, capsys):
    for processor, name in (("A", "first"), ("B", "second"), ("A", "third")):
        on = dict.fromkeys(MACHINE, "x") | {"processor": processor, "quiet": True}
        monkeypatch.setattr(bench, "machine", lambda on=on: on)
        monkeypatch.setattr(bench, "measure", lambda which, name=name: [line(name=name)])
        bench.main(["kmeans"])
        assert "1 of 1 targets met" in capsys.readouterr().out
    page = bench.PAGE.read_text()
    assert page.count("## Kmeans") == 1 and "first" not in page and page.index("second") < page.index("third")


def test_a_benchmark_that_fails_is_a_line_with_its_reason(bench):
    (only,) = bench.measure("no_such_benchmark")
    assert only["met"] is False and "no_such_benchmark" in only["note"]


def test_an_unknown_name_is_refused_with_those_there_are(bench, capsys):
    assert bench.main(["kmenas"]) == 2
    assert "no benchmark is called kmenas; there are" in capsys.readouterr().err


def test_a_missing_peer_is_said(bench, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PEERS", ("no-such-package",))
    monkeypatch.setattr(bench, "measure", lambda name: [])
    bench.main(["kmeans"])
    assert "no-such-package is not installed" in capsys.readouterr().err
    assert "Not installed: no-such-package." in bench.PAGE.read_text()
