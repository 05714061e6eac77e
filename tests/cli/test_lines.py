"""Answers line by line: one for each, as they come; what can't be read is named. And training on text of one's own."""

import dataclasses
import io
import json
import sys

import pytest

import lowland
from lowland.cli import main
from lowland.system import find, register


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    """A run on seven sentences: what is tested here is how it is asked."""
    folder = tmp_path_factory.mktemp("translator")
    for name, word in (("de", "Hund"), ("en", "dog")):
        (folder / f"my.{name}").write_text("".join(f"{word} {i % 7}!\n" for i in range(60)))
    words = ["--preset", "smoke", "--epochs", "40", "--device", "cpu", "--quiet", "--out", str(folder / "run")]
    status = main(["train", "translate", "--data", str(folder / "my.de"), str(folder / "my.en"), *words])
    assert status == 0
    return folder


def infer(monkeypatch, capsys, translator, read: bytes, *words: str) -> tuple[int, list[str], str]:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(read)))
    status = main(["infer", str(translator / "run"), "-", *words])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


def test_a_run_on_own_text_says_what_it_was_made_of(translator):
    model = lowland.load(translator / "run")
    assert model.config.data == (str(translator / "my.de"), str(translator / "my.en"))
    assert model.energy.source.tokenizer.encode(["Hund 3!"]).min() > 0
    result = json.loads((translator / "run" / "result.json").read_text())
    assert result["data"]["my.de and my.en"]["samples"] == 60


def test_one_line_for_each_line(monkeypatch, capsys, translator):
    status, out, err = infer(monkeypatch, capsys, translator, b"Hund 3!\n\n  \nHund 4!\r\nHund 5!")
    assert (status, err, len(out)) == (0, "", 5)
    model = lowland.load(translator / "run")
    for line, text in zip(out, ["Hund 3!", "", "  ", "Hund 4!", "Hund 5!"], strict=True):
        if not text.strip():
            assert line == ""
            continue
        known = model.system.lines(model.energy, [text])
        assert [line] == model.system.tell(model.energy, known, model.infer(**known))


def test_as_json(monkeypatch, capsys, translator):
    _, out, _ = infer(monkeypatch, capsys, translator, b"Hund 3!\n\n", "--json")
    first, second = map(json.loads, out)
    assert (first["line"], first["input"], second) == (
        1,
        "Hund 3!",
        {"line": 2, "input": "", "text": "", "energy": None},
    )
    assert first["energy"] > 0


def test_files_are_read_like_standard_input(monkeypatch, capsys, translator):
    (translator / "new.de").write_text("Hund 1!\nHund 2!\n")
    _, wanted, _ = infer(monkeypatch, capsys, translator, b"Hund 1!\nHund 2!\n")
    assert main(["infer", str(translator / "run"), str(translator / "new.de")]) == 0
    assert capsys.readouterr().out.splitlines() == wanted


def test_lines_are_answered_as_they_come(monkeypatch, capsys, translator):
    """What has come is answered before the next piece is read, and a line in two pieces is one line."""

    class Piecewise:
        pieces, said = [b"Hund 1!\nHu", b"nd 2!\n", b""], []

        def read1(self, size):
            self.said.append(capsys.readouterr().out.count("\n"))
            return self.pieces.pop(0)

    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Piecewise()})())
    assert main(["infer", str(translator / "run"), "-"]) == 0
    assert Piecewise.said == [0, 1, 1]


def test_a_line_that_is_too_long_is_named_and_those_before_it_answered(monkeypatch, capsys, translator):
    read = b"Hund 1!\n\n" + b"Hund " * 40 + b"\nHund 2!\n"
    status, out, err = infer(monkeypatch, capsys, translator, read)
    assert status != 0 and len(out) == 2 and out[0] and not out[1]
    assert "standard input, line 3: " in err and "wanted at most 12" in err


def test_a_wrong_encoding_is_named(monkeypatch, capsys, translator):
    status, _, err = infer(monkeypatch, capsys, translator, b"Hund 1!\nH\xfcnd\n")
    assert status != 0 and "standard input, line 2: wanted UTF-8, got the byte 0xfc" in err


def test_the_alignment_is_drawn_where_it_is_asked_for(monkeypatch, capsys, translator):
    status, _, err = infer(monkeypatch, capsys, translator, b"Hund 1!\n\nHund 2!\n", "--out", str(translator / "drawn"))
    assert (status, err) == (0, "")
    assert [path.name for path in sorted((translator / "drawn").iterdir())] == ["000-line-1.png", "001-line-3.png"]


@pytest.mark.parametrize("word", ["--hide=bottom", "--samples=3", "--given=y=2", "--unknown=x"])
def test_what_lines_have_no_use_for_is_refused(monkeypatch, capsys, translator, word):
    status, out, err = infer(monkeypatch, capsys, translator, b"Hund 1!\n", word)
    assert status == 2 and out == [] and word.partition("=")[0] in err


def test_own_text_that_does_not_match_is_refused(capsys, translator, tmp_path):
    (tmp_path / "short.en").write_text("dog\n")
    words = ["--preset", "smoke", "--quiet", "--out", str(tmp_path / "run")]
    assert main(["train", "translate", "--data", str(translator / "my.de"), str(tmp_path / "short.en"), *words]) != 0
    assert "my.de has 60 lines and" in capsys.readouterr().err
    assert main(["train", "translate", "--data", "one", *words[:-1], str(tmp_path / "other")]) != 0
    assert "two files whose lines translate each other, got one" in capsys.readouterr().err


def test_several_words_after_an_option_and_the_recorded_command():
    from lowland.cli.train import _gathered, _repeatable

    system = find("translate")
    words = ["--data", "my.de", "my.en", "--length-weights", "[0, 1]", "--epochs", "2"]
    assert _gathered(system, words)[:2] == ["--data", '["my.de", "my.en"]']
    assert _gathered(system, words)[2:] == words[3:]
    assert _gathered(system, ["--length_weights", "0", "0.5"]) == ["--length_weights", "[0,0.5]"]
    assert _repeatable(["--data", "my.de", "my.en", "--rate", "0.1"]) == ["--rate", "0.1"]


def test_texts_go_to_other_verbs_too(capsys, translator):
    """A system's `embed` sees each line of a text as a sample."""
    system = find("translate")
    register(dataclasses.replace(system, embed=lambda energy, values: (values["x"] >= 0).sum(1, keepdim=True).float()))
    try:
        (translator / "two.de").write_text("Hund 1!\nHund\n")
        assert main(["embed", str(translator / "run"), str(translator / "two.de"), "--json"]) == 0
    finally:
        register(system)
    assert "line 2" in capsys.readouterr().out
