import json
from pathlib import Path

import pytest

from lowland.errors import CheckpointError, UsageError
from lowland.report import ledger


def metric(name, value, runs, better, gate=None, gate_source="", paper=None, met=None, **more):
    """One metric of an entry, in the ledger's shape."""
    return {
        "name": name,
        "value": value,
        "runs": runs,
        "better": better,
        "gate": gate,
        "gate_source": gate_source,
        "paper": paper,
        "met": met,
        **more,
    }


@pytest.fixture
def entry():
    return {
        "system": "bowls",
        "rows": ["R99"],
        "preset": "cpu",
        "command": "lowland train bowls --record",
        "recorded": "2026-11-21T10:00:00",
        "seconds": 75.2,
        "device": "CPU, 2 cores",
        "versions": {"torch": "2.13.0"},
        "seeds": [0, 1, 2],
        "config": {},
        "data": {},
        "metrics": [
            metric("test_error", 2.5, [2.25, 2.5, 2.75], "lower", 3.0, "own", met=True),
            metric("accuracy", 0.8, [0.8], "higher", 0.9, "table 2", 0.95, met=False, why="too few | bowls"),
            metric("spread", 0.125, [], "higher"),
        ],
    }


def store(folder, entry):
    path = folder / "results" / entry["system"] / f"{entry['preset']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry))
    return path


def test_results_say_what_was_measured_and_why_a_gate_is_not_met(bowls, entry):
    page = ledger.results_page([entry], {"bowls": bowls})
    assert "1 of 2 gates met" in page
    assert "| test error | **2.5 %** | 2.25 … 2.75 | ≤ 3 % (own) | ✓ | – |" in page
    assert "| accuracy | **0.8** | one run | ≥ 0.9 (table 2) | ✗ | 0.95 |" in page
    assert "- **accuracy** is not met: too few \\| bowls" in page
    assert "lowland train bowls --record" in page
    assert "CPU, 2 cores · seeds 0, 1, 2 · torch 2.13.0 · recorded 2026-11-21" in page


def test_the_gallery_is_made_of_docstrings_and_of_the_ledger(bowls, entry, tmp_path):
    page = ledger.gallery_page([entry], {"bowls": bowls}, tmp_path / "images")
    assert (
        "## Valleys\n\n### bowls\n\n**Bowls, and what lies in them.** Nobody (1999) · R99 · `src/lowland/systems/valleys/bowls.py`"
        in page
    )
    assert "```text\nE(x, z) = ½ ‖x − W_z‖²,  z in {1 … K}" in page
    assert "keeps *the nearest*, a &lt; b \\* c." in page
    assert "**Training.** Lower the mean of F over the data; nothing pushes up (strategy A1)." in page
    assert "**Known failure.** None \\* known." in page
    assert "**Differences from the paper.**\n\n1. There is no paper.\n1. There are two differences." in page
    assert "| test error | **2.5 %** |" in page
    assert "![" not in page
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bowls.png").touch()
    assert "![Bowls in a valley](images/bowls.png)" in ledger.gallery_page([], {"bowls": bowls}, tmp_path / "images")
    assert "Not recorded yet." in ledger.gallery_page([], {"bowls": bowls}, tmp_path / "images")


def test_pages_are_written_once_and_checked(bowls, entry, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ledger, "systems", lambda: {"bowls": bowls})
    store(tmp_path, entry)
    folders = ["--results", str(tmp_path / "results"), "--docs", str(tmp_path / "docs")]
    assert ledger.main([*folders, "--check"]) == 1
    assert not (tmp_path / "docs").exists()
    assert ledger.main(folders) == 0
    assert ledger.main([*folders, "--check"]) == 0
    entry["metrics"][0]["value"] = 2.6
    store(tmp_path, entry)
    capsys.readouterr()
    assert ledger.main([*folders, "--check"]) == 1
    assert "out of date" in capsys.readouterr().out


def test_the_cpu_preset_comes_first(entry, tmp_path):
    for preset in ("big", "cpu"):
        store(tmp_path, {**entry, "preset": preset})
    assert [found["preset"] for found in ledger.read_ledger(tmp_path / "results")] == ["cpu", "big"]


def test_a_damaged_or_misplaced_entry_is_named(bowls, entry, tmp_path, monkeypatch, capsys):
    path = store(tmp_path, entry)
    path.rename(path.with_name("gpu.json"))
    with pytest.raises(CheckpointError, match="holds bowls/cpu"):
        ledger.read_ledger(tmp_path / "results")
    path.with_name("gpu.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"gpu\.json"):
        ledger.read_ledger(tmp_path / "results")
    path.with_name("gpu.json").write_text("{}")
    with pytest.raises(CheckpointError, match="lacks system"):
        ledger.read_ledger(tmp_path / "results")
    monkeypatch.setattr(ledger, "systems", dict)
    assert ledger.main(["--results", str(tmp_path / "results"), "--docs", str(tmp_path)]) == 1
    assert "lacks system" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no system of that name"):
        ledger.results_page([entry], {})


def test_the_pages_of_this_project_are_up_to_date():
    """After recording a result or changing a docstring of the gallery: ``make ledger``."""
    root = Path(__file__).parents[2]
    assert ledger.write_pages(root / "results", root / "docs", check=True) == []
