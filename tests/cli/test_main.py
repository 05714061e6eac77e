"""The command line: light until it must work, one line for an error, the same words everywhere."""

import json
import subprocess
import sys

import pytest

from lowland.cli import VERBS, main
from lowland.cli.gallery import entries
from lowland.system import systems


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    "words", [["--help"], ["systems"], ["systems", "--json"], ["train", "--help"], ["score", "--help"]]
)
def test_the_first_words_come_without_torch(words):
    """Importing torch alone takes longer than these may take."""
    code = f"import sys; from lowland.cli import main\ntry: main({words})\nexcept SystemExit: pass\nsys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_help_names_every_verb(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0 and all(f"\n  {verb} " in out for verb in VERBS)
    assert run(capsys)[0] == 2


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(capsys, verb):
    if verb == "train":
        assert run(capsys, verb, "--help")[0] == 0
        return
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["fly"], 2, "there is no verb 'fly'"),
        (["train"], 2, "which system"),
        (["train", "nothing"], 2, "No system is called 'nothing'"),
        (["train", "--resume", "nowhere"], 1, "there is no such folder"),
        (["train", "--config", "nowhere.yaml"], 2, "--config nowhere.yaml: there is no such file"),
        (["eval", "nowhere"], 1, "there is no such folder"),
        (["score", "nowhere", "a.png"], 1, "there is no such folder"),
        (["score"], 2, "the following arguments are required"),
        (["infer", "nowhere", "--hid"], 2, "unrecognized arguments: --hid"),
        (["reproduce", "nowhere.json"], 1, "no such result"),
        (["data", "nothing"], 2, "nothing"),
        (["data", "--data", "nowhere"], 2, "--data nowhere: there is no such folder"),
        (["systems", "nowhere"], 2, "there is no area 'nowhere'"),
    ],
)
def test_an_error_is_one_line_and_a_status(capsys, words, status, complaint):
    got, out, err = run(capsys, *words)
    assert got == status and out == ""
    assert complaint in err and err.count("\n") == 1 and err.startswith(f"lowland {words[0]}: ")


def test_debug_shows_where(capsys):
    from lowland.errors import CheckpointError

    with pytest.raises(CheckpointError):
        main(["eval", "nowhere", "--debug"])


def test_a_fault_of_ours_is_one_line_too(capsys, monkeypatch):
    monkeypatch.setattr("lowland.cli.systems.entries", lambda: 1 / 0)
    status, _, err = run(capsys, "systems")
    assert status == 1 and err.count("\n") == 1 and "ZeroDivisionError" in err and "--debug" in err


def test_what_is_read_from_the_files_is_what_is_registered(capsys):
    """`lowland systems` reads the gallery's files without running them; it must say what they would."""
    read = {entry.name: entry for entry in entries()}
    registered = systems()
    assert read.keys() == registered.keys()
    for name, system in registered.items():
        entry = read[name]
        assert (entry.title, entry.paper, entry.rows, entry.area) == (
            system.title,
            system.paper,
            system.rows,
            system.area,
        )
        assert [m["name"] for m in entry.metrics] == [m.name for m in system.metrics]
        assert [m.get("paper") for m in entry.metrics] == [m.paper for m in system.metrics]
    _, out, _ = run(capsys, "systems")
    assert all(f"\n{name} " in out for name in registered)
    _, out, _ = run(capsys, "systems", "--json")
    assert {line["name"] for line in json.loads(out)} == registered.keys()


def test_data_lists_and_verifies(capsys):
    status, out, _ = run(capsys, "data", "--json")
    assert status == 0 and "digits" in {line["name"] for line in json.loads(out)}
    status, out, _ = run(capsys, "data")
    assert status == 0 and "mnist" in out
    status, out, _ = run(capsys, "data", "digits", "--verify")
    assert status == 0 and "licence" in out
