"""The verbs that use a trained model: eval, infer, score, embed."""

import dataclasses
import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import lowland
from lowland.cli import inputs, main
from lowland.errors import UsageError
from lowland.system import register


@pytest.fixture
def trained(tmp_path, monkeypatch, system):
    """A folder with a run and pictures of the first three digits."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "logistic_digits", "--epochs", "12", "--out", "run", "--device", "cpu", "--quiet"]) == 0
    for number, image in enumerate(load_digits().images[:3]):
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(f"{number}.png")
    np.save("three.npy", load_digits().images[:3].astype(np.float32) / 16)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(words)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_eval_gives_the_figures_again(trained, capsys):
    status, out, _ = run(capsys, "eval", "run", "--json")
    assert status == 0
    assert json.loads(out)["metrics"] == json.loads((trained / "run" / "result.json").read_text())["metrics"]
    assert "test_error" in run(capsys, "eval", "run")[1]


def test_infer_says_the_label(trained, capsys):
    status, out, _ = run(capsys, "infer", "run", "0.png", "1.png", "2.png")
    assert status == 0
    assert [line.partition("  ")[0] for line in out.splitlines()] == ["0.png: zero", "1.png: one", "2.png: two"]
    lines = json.loads(run(capsys, "infer", "run", "three.npy", "--json")[1])
    assert [line["y"] for line in lines] == [0, 1, 2] and [line["text"] for line in lines] == ["zero", "one", "two"]


def test_infer_draws_labels(trained, capsys):
    lines = json.loads(run(capsys, "infer", "run", "0.png", "--samples", "3", "--json")[1])
    assert len(lines) == 3 and lines == json.loads(run(capsys, "infer", "run", "0.png", "--samples", "3", "--json")[1])


def filled_in(energy, config, known, count, generator):
    """The mean of what is known of x, plus y, plus the number of the answer, plus noise: who asked what can be read off."""
    x, y = known.get("x"), known.get("y")
    start = x.value.masked_fill(~x.known, 0.0) if x is not None else torch.zeros(len(y), 8, 8)
    level = start.mean((1, 2)) + (y if y is not None else 0)
    noise = 1e-3 * torch.rand(count, generator=generator)
    answer = (level[:, None] + torch.arange(count) + noise)[..., None, None].expand(-1, -1, 8, 8)
    return answer if x is None else torch.where(x.known, x.value[:, None], answer)


def test_infer_asks_a_system_that_fills_in_itself(trained, capsys, system):
    """Answers stand in the order of the inputs, several of each together; what was known stays; a seed repeats them."""
    register(dataclasses.replace(system, fill=filled_in))
    digits = torch.from_numpy(np.load("three.npy"))[:2]
    words = ("infer", "run", "0.png", "1.png", "--hide", "bottom", "--samples", "3", "--given", "y=two", "--json")
    status, out, err = run(capsys, *words)
    assert status == 0, err
    lines = json.loads(out)
    assert [line["input"] for line in lines] == [f"{n}.png #{k}" for n in (0, 1) for k in (1, 2, 3)]
    x = torch.tensor([line["x"] for line in lines]).reshape(2, 3, 8, 8)
    torch.testing.assert_close(x[:, :, :4], digits[:, None, :4].expand(-1, 3, -1, -1), rtol=0, atol=1 / 255)
    level = digits[:, :4].mean((1, 2)) / 2 + 2
    torch.testing.assert_close(x[:, :, 4:].mean((2, 3)), level[:, None] + torch.arange(3), rtol=0, atol=5e-3)
    model = lowland.load("run")
    torch.testing.assert_close(
        torch.tensor([line["energy"] for line in lines]),
        model.score(x=x.flatten(0, 1), y=torch.full((6,), 2)),
    )
    assert json.loads(run(capsys, *words)[1]) == lines
    assert json.loads(run(capsys, *words, "--seed", "1")[1]) != lines


def test_a_system_fills_in_the_whole_of_a_picture(trained, capsys, system):
    register(dataclasses.replace(system, fill=filled_in))
    status, out, err = run(capsys, "infer", "run", "--unknown", "x", "--given", "y=two", "--json")
    assert status == 0, err
    (line,) = json.loads(out)
    assert line["converged"] and torch.tensor(line["x"]).mean() == pytest.approx(2, abs=2e-3)


def test_score_tells_a_digit_from_noise(trained, capsys):
    pixels = np.random.default_rng(0).permutation(load_digits().images[0].reshape(-1)).reshape(8, 8)
    Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save("noise.png")
    status, out, _ = run(capsys, "score", "run", "0.png", "noise.png")
    assert status == 0 and [line.split("\t")[1] for line in out.splitlines()] == ["0.png", "noise.png"]
    digit, noise = (
        line["energy"] for line in json.loads(run(capsys, "score", "run", "0.png", "noise.png", "--json")[1])
    )
    assert digit < noise
    with_label = json.loads(run(capsys, "score", "run", "0.png", "--given", "y=zero", "--json")[1])[0]["energy"]
    assert with_label > digit  # the free energy lies below every energy it sums


def test_embed_gives_vectors(trained, capsys):
    status, out, _ = run(capsys, "embed", "run", "0.png", "1.png", "--out", "vectors.npy")
    vectors = np.load("vectors.npy", allow_pickle=False)
    assert status == 0 and vectors.shape == (2, 16) and "2 vectors of 16" in out
    lines = json.loads(run(capsys, "embed", "run", "0.png", "--json")[1])
    np.testing.assert_allclose(lines[0]["vector"], vectors[0], rtol=1e-5)
    assert run(capsys, "embed", "run", "0.png")[1].startswith("0.png\t")


def test_a_picture_on_stdin(trained, capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO((trained / "1.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert "one" in run(capsys, "infer", "run", "-")[1]


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["infer", "run"], 2, "nothing is known"),
        (["infer", "run", "nowhere.png"], 1, "nowhere.png"),
        (["infer", "run", "text.png"], 1, "text.png"),
        (["infer", "run", "empty"], 1, "empty"),
        (["infer", "run", "0.png", "--unknown", "q"], 2, "--unknown q: logistic_digits has x, y"),
        (["infer", "run", "0.png", "--unknown", "x"], 2, "x is known from the input"),
        (["infer", "run", "0.png", "--hide", "middle"], 2, "wanted bottom, top, left, right, or ROWS,COLUMNS"),
        (["infer", "run", "0.png", "--samples", "0"], 2, "--samples: wanted at least 1"),
        (["infer", "run", "--given", "y=eleven"], 2, "wanted one of zero, one"),
        (["infer", "run", "--given", "q=1"], 2, "wanted NAME=VALUE with a variable among x, y"),
        (["score", "run", "columns.csv"], 1, "columns.csv"),
    ],
)
def test_wrong_inputs_are_one_line(trained, capsys, words, status, complaint):
    (trained / "text.png").write_text("not a picture")
    (trained / "columns.csv").write_text("1,2,3\n")
    (trained / "empty").mkdir()
    got, out, err = run(capsys, *words)
    assert got == status and out == "" and complaint in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "rows", "columns"),
    [
        ("bottom", slice(4, 8), slice(0, 6)),
        ("top", slice(0, 4), slice(0, 6)),
        ("left", slice(0, 8), slice(0, 3)),
        ("right", slice(0, 8), slice(3, 6)),
        ("2:5,1:3", slice(2, 5), slice(1, 3)),
        ("2,:", slice(2, 3), slice(0, 6)),
        (":", slice(0, 8), slice(0, 6)),
        ("6:", slice(6, 8), slice(0, 6)),
        ("-2:,0", slice(6, 8), slice(0, 1)),
    ],
)
def test_hidden_parts(word, rows, columns):
    expected = torch.zeros(8, 6, dtype=torch.bool)
    expected[rows, columns] = True
    assert torch.equal(inputs.hidden(word, 8, 6), expected)


def test_hiding_nothing_is_refused():
    with pytest.raises(UsageError, match="hides nothing"):
        inputs.hidden("9:,:", 8, 6)


@pytest.mark.parametrize(
    ("shape", "picture"),
    [((64,), (1, 8, 8)), ((28, 28), (1, 28, 28)), ((3, 5, 4), (3, 5, 4)), ((65,), None), ((2, 5, 4), None), ((), None)],
)
def test_which_spaces_hold_pictures(shape, picture):
    assert inputs.picture_shape(shape) == picture
