"""A run folder: what is in it, how it is used without training again, and that killing it changes nothing."""

import json
import signal
import time

import pytest
import torch
import yaml
from safetensors.torch import load_file

import lowland
from lowland.errors import CheckpointError, DivergenceError, SpaceError, UsageError, VariableError
from lowland.train import Settings, execute, resume
from lowland.train.execution import evaluate

PLAIN = Settings(preset="smoke", device="cpu")


@pytest.fixture
def run(system, tmp_path):
    return execute(system, settings=PLAIN, out=tmp_path / "run", shown=False)


def test_a_run_folder_holds_what_it_promises(run, system):
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"config.yaml", "model.safetensors", "metrics.jsonl", "result.json", "checkpoints"}
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert config["system"] == "logistic_digits" and config["seed"] == 0 and config["preset"] == "smoke"
    assert config["config"] == {"rate": 0.01, "epochs": 2, "noise": 0.05, "hidden": [16], "spoilt": -1}
    assert set(load_file(run.folder / "model.safetensors")) == set(run.model.state_dict())
    result = json.loads((run.folder / "result.json").read_text())
    assert result["seed"] == 0 and result["rows"] == ["R01"] and result["seconds"] > 0 and result["versions"]["torch"]
    assert result["data"] == {
        "digits": {"split": "first 299, last 200", "samples": 499, "sha256": {"digits.csv.gz": "0" * 64}}
    }
    error, noise = result["metrics"]
    assert error["name"] == "test_error" and error["met"] is (error["value"] <= 60.0) and error["paper"] == 30.0
    assert noise["met"] is False and noise["gate"] == 2.0


def test_a_seed_repeats_a_run_and_evaluation_repeats_alone(run, system, tmp_path):
    again = execute(system, settings=PLAIN, out=tmp_path / "again", shown=False)
    assert again.result["metrics"] == run.result["metrics"]
    assert (again.folder / "metrics.jsonl").read_text() == (run.folder / "metrics.jsonl").read_text()
    model = lowland.load(run.folder)
    measured = evaluate(system, model.config, model.module, system.data(model.config), seed=0)
    assert measured == {metric["name"]: metric["value"] for metric in run.result["metrics"]}


def test_a_loaded_model_answers(run, system):
    model = lowland.load(run.folder)
    x, y = run.data.test["x"][:5], run.data.test["y"][:5]
    table = -model.energy.network(x)
    assert model.config == run.config and model.energies == {"logistic_digits": model.energy}
    torch.testing.assert_close(model.score(x=x, y=y), table.gather(1, y[:, None])[:, 0])
    torch.testing.assert_close(model.score(x=x), -torch.logsumexp(-table, 1))
    solution = model.infer(x=x)
    assert torch.equal(solution.value, table.argmin(1))
    assert model.embed(x=x).shape == (5, 16) and not model.embed(x=x).requires_grad
    assert model.labels[3] == "three"
    with pytest.raises(VariableError, match="q"):
        model.score(q=x)
    with pytest.raises(SpaceError, match=r"x: wanted shape .*8, 8.*\(5, 64\)"):
        model.score(x=x.reshape(5, 64))


def test_loading_draws_nothing_from_the_callers_stream(run):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    lowland.load(run.folder)
    assert torch.equal(torch.rand(2), expected)


def spoil(folder, how):
    if how == "weights":
        path = folder / "model.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    elif how == "config":
        (folder / "config.yaml").write_text("system: [")
    elif how == "no config":
        (folder / "config.yaml").unlink()
    elif how == "width":
        text = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(text.replace("- 16", "- 17"))
    elif how == "field":
        text = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(text.replace("noise:", "nose:"))
    else:
        (folder / "result.json").unlink()


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("weights", r"model\.safetensors: damaged, its contents don't match its checksum"),
        ("config", r"config\.yaml: could not be read"),
        ("no config", "is not a run folder: it has no config.yaml"),
        ("width", r"belongs to another model.*\(16,\) there and \(17,\) here"),
        ("field", "no option called nose"),
        ("result", "the run has not ended; continue it with `lowland train --resume"),
    ],
)
def test_a_spoilt_run_is_refused_with_a_sentence(run, how, complaint):
    spoil(run.folder, how)
    with pytest.raises((CheckpointError, UsageError), match=complaint) as caught:
        lowland.load(run.folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_a_run_is_not_written_over(run, system):
    with pytest.raises(UsageError, match=r"--out .*run: there is a run in it already.*--resume"):
        execute(system, settings=PLAIN, out=run.folder)


def test_a_finished_run_resumes_to_the_same_figures(run):
    assert resume(run.folder, shown=False).result["metrics"] == run.result["metrics"]


def test_a_run_resumes_only_as_it_was_started(run):
    with pytest.raises(UsageError, match=r"--seed: .* was started with 0, got 2"):
        resume(run.folder, settings={"seed": 2})


def test_nan_in_the_data_stops_the_run_and_names_the_sample(system, tmp_path):
    config = system.configure("smoke", spoilt=42)
    with pytest.raises(
        DivergenceError, match=r"Stage 'weights', step \d+: loss became nan .* 'x' is not finite in sample 42"
    ):
        execute(system, config, PLAIN, out=tmp_path / "run", shown=False)
    with pytest.raises(CheckpointError, match="has not ended"):
        lowland.load(tmp_path / "run")


def test_kill_9_changes_nothing(system, tmp_path, start):
    """Killed in the middle of an epoch and resumed, a run ends as if nothing had been."""
    whole = execute(system, system.configure(epochs=12), Settings(device="cpu"), out=tmp_path / "whole", shown=False)
    words = ["--out", "cut", "--epochs", "12", "--device", "cpu", "--checkpoint_seconds", "0.001"]
    process = start("train", "logistic_digits", *words)
    checkpoints, deadline = tmp_path / "cut" / "checkpoints", time.monotonic() + 120
    # not before it is well inside the second stage: names of checkpoints are stage, then step
    while not any(int(path.stem) % 10**10 > 25 for path in checkpoints.glob("[!.]*")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert not (tmp_path / "cut" / "result.json").exists()
    assert max(int(path.stem) % 10**10 for path in checkpoints.glob("[!.]*")) < 12 * 19
    continued = resume(tmp_path / "cut", shown=False)
    assert continued.result["metrics"] == whole.result["metrics"]
    ours, theirs = load_file(whole.folder / "model.safetensors"), load_file(continued.folder / "model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (whole.folder / "metrics.jsonl").read_text() == (continued.folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_give_what_one_gives(system, tmp_path, start, strategy):
    """The same global batches, gradients averaged over samples: the same weights but for the order of sums."""
    config = system.configure(noise=0.0, hidden=(), epochs=3)  # nothing is drawn at random
    execute(system, config, Settings(device="cpu"), out=tmp_path / "run1", shown=False)
    words = ["--noise", "0", "--hidden", "[]", "--epochs", "3", "--device", "cpu", "--devices", "2", "--out", "run2"]
    process = start("train", "logistic_digits", *words, "--strategy", strategy)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.strip().splitlines()[-1].endswith("report.html")
    one, two = (load_file(tmp_path / f"run{n}" / "model.safetensors") for n in (1, 2))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    logs = [
        [json.loads(line) for line in (tmp_path / f"run{n}" / "metrics.jsonl").read_text().splitlines()] for n in (1, 2)
    ]
    assert [line["loss"] for line in logs[0]] == pytest.approx([line["loss"] for line in logs[1]], rel=1e-4)
    assert lowland.load(tmp_path / "run2").energy.network[1].weight.shape == (10, 64)
    figures = [json.loads((tmp_path / f"run{n}" / "result.json").read_text())["metrics"][0]["value"] for n in (1, 2)]
    assert figures[0] == pytest.approx(figures[1], abs=1.0)  # one digit in 200 may lie on the border
