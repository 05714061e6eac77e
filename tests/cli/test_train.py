"""`lowland train`: every field an option, files of options, the report's path last, and what a person can do wrong."""

import json
import os
import resource
import signal

import pytest
import yaml

from lowland.cli import main
from lowland.train.player import Turn


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, system):
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["train", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_help_says_what_every_field_means_and_its_default(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["train", "logistic_digits", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Step size of AdamW, in units of the weights. (type: float, default: 0.01)" in text
    assert "Widths of the hidden layers." in text and "Times through the training data. (type: int, default: 4)" in text
    with pytest.raises(SystemExit, match="0"):
        main(["train", "logistic_digits", "--preset", "smoke", "--help"])
    assert "Times through the training data. (type: int, default: 2)" in " ".join(capsys.readouterr().out.split())


def test_options_reach_the_configuration_and_the_report_comes_last(capsys, tmp_path):
    words = [
        "--preset",
        "smoke",
        "--rate=0.02",
        "--hidden",
        "[4, 5]",
        "--seed",
        "7",
        "--out",
        "run",
        "--checkpoint-seconds",
        "30",
    ]
    status, out, err = run(capsys, "logistic_digits", *words)
    assert status == 0 and err == ""
    lines = out.splitlines()
    assert lines[-1] == "run/report.html" and (tmp_path / lines[-1]).exists()
    assert "test_error" in out and "≤ 60" in out and "30" in out
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["config"] == {"rate": 0.02, "epochs": 2, "noise": 0.05, "hidden": [4, 5], "spoilt": -1}
    assert (config["seed"], config["preset"], config["checkpoint_seconds"]) == (7, "smoke", 30.0)


def test_a_runs_configuration_repeats_the_run(capsys, tmp_path):
    run(capsys, "logistic_digits", "--preset", "smoke", "--rate", "0.02", "--seed", "3", "--out", "first")
    status, out, _ = run(capsys, "--config", "first/config.yaml", "--out", "second", "--json")
    assert status == 0
    first, second = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("first", "second"))
    assert first["metrics"] == second["metrics"] and second["seed"] == 3 and second["config"]["rate"] == 0.02
    assert json.loads(out)["metrics"] == second["metrics"] and json.loads(out)["report"] == "second/report.html"


def test_a_file_of_options_gives_way_to_the_command_line(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("epochs: 1\nrate: 0.5\nseed: 9\n")
    run(capsys, "logistic_digits", "--config", "mine.yaml", "--rate", "0.25", "--out", "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["config"]["epochs"], config["config"]["rate"], config["seed"]) == (1, 0.25, 9)


def test_a_new_run_gets_a_folder_of_its_own(capsys, tmp_path):
    for _ in range(2):
        assert run(capsys, "logistic_digits", "--preset", "smoke", "--steps", "2")[0] == 0
    assert len(list((tmp_path / "runs").glob("logistic_digits-*"))) == 2


def test_resume(capsys):
    _, first, _ = run(capsys, "logistic_digits", "--preset", "smoke", "--out", "run")
    status, again, _ = run(capsys, "--resume", "run")
    assert status == 0 and again.splitlines()[:4] == first.splitlines()[:4]


def test_ctrl_c_leaves_a_run_that_resumes(capsys, tmp_path, monkeypatch):
    """The signal comes in the middle of a step; what the shell sees is one line and status 1."""
    run(capsys, "logistic_digits", "--preset", "smoke", "--out", "whole")
    take, steps = Turn.take, []

    def interrupted(turn, batch, share):
        steps.append(1)
        if len(steps) == 25:
            os.kill(os.getpid(), signal.SIGINT)
        return take(turn, batch, share)

    with monkeypatch.context() as patch:
        patch.setattr(Turn, "take", interrupted)
        status, out, err = run(capsys, "logistic_digits", "--preset", "smoke", "--out", "cut")
    assert (status, out) == (1, "") and len(steps) == 25
    assert err == "lowland train: Stopped in stage 'weights' after step 25. Continue with: lowland train --resume cut\n"
    assert run(capsys, "--resume", "cut")[0] == 0
    whole, cut = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "cut"))
    assert whole["metrics"] == cut["metrics"]


def test_ctrl_c_before_anything_is_learnt(capsys, monkeypatch):
    """While data are read there is no checkpoint yet; the run begins again."""

    def stop(self, *words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lowland.train.execution.build", stop)
        status, _, err = run(capsys, "logistic_digits", "--preset", "smoke", "--out", "cut")
    assert status == 1 and err.endswith("Continue with: lowland train --resume cut\n")
    assert run(capsys, "--resume", "cut")[0] == 0


def test_a_full_disk_is_one_line_and_the_run_resumes(capsys, tmp_path):
    """A limit on the size of files stands in for a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        status, out, err = run(capsys, "logistic_digits", "--preset", "smoke", "--out", "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1 and out == "" and err.count("\n") == 1
    assert "full/checkpoints/" in err and "the disk is full or a quota is reached" in err
    assert run(capsys, "--resume", "full")[0] == 0


def test_the_recorded_command_says_nothing_of_places():
    from lowland.cli.train import _repeatable

    words = ["--rate", "0.1", "--out", "somewhere", "--results=there", "--record", "--quiet"]
    assert _repeatable(words) == ["--rate", "0.1", "--record"]


def test_record_and_reproduce(capsys, tmp_path):
    words = [
        "--preset",
        "smoke",
        "--record",
        "--seeds",
        "2",
        "--results",
        "ledger",
        "--why",
        "noise=it is drawn from [0, 1)",
    ]
    status, out, _ = run(capsys, "logistic_digits", *words)
    path = tmp_path / "ledger" / "logistic_digits" / "smoke.json"
    entry = json.loads(path.read_text())
    assert status == 0 and out.splitlines()[-1].endswith("report.html") and "seeds 0, 1" in out
    assert entry["command"] == "lowland train logistic_digits --preset smoke --record --seeds 2"
    assert entry["metrics"][1]["why"] == "it is drawn from [0, 1)"
    assert main(["reproduce", str(path), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.count("identical") == 2
    entry["metrics"][0]["runs"] = [1.0, 1.0]
    path.write_text(json.dumps(entry))
    assert main(["reproduce", str(path), "--json"]) == 1
    assert [line["agrees"] for line in json.loads(capsys.readouterr().out)] == [False, True]


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["--rate", "fast"], 2, "rate"),
        (["--ratee", "1"], 2, "unrecognized arguments: --ratee"),
        (["--preset", "huge"], 2, "wanted a preset among cpu, smoke, got 'huge'"),
        (["--seeds", "3"], 2, "belong to --record"),
        (["--record", "--steps", "3"], 2, "--steps"),
        (["--record", "--why", "nothing=x"], 2, "wanted METRIC=TEXT with a metric among test_error, noise"),
        (["--device", "gpu7"], 2, "--device: wanted auto, cpu"),
        (["--data", "nowhere"], 2, "--data nowhere: there is no such folder"),
        (["--config", "list.yaml"], 1, "wanted a YAML mapping"),
        (["--config", "broken.yaml"], 1, "not readable YAML"),
        (["--config", "unknown.yaml"], 2, "has no option called speed"),
        (["--config", "other.yaml"], 2, "it is for lenet, not for logistic_digits"),
        (["--out", "file/run"], 1, "could not be written"),
        (["--spoilt", "3"], 1, "not finite in sample 3"),
    ],
)
def test_wrong_use_is_one_line(capsys, tmp_path, words, status, complaint):
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    (tmp_path / "unknown.yaml").write_text("speed: 3\n")
    (tmp_path / "other.yaml").write_text("system: lenet\nconfig: {}\n")
    (tmp_path / "file").write_text("")
    got, out, err = run(capsys, "logistic_digits", *words)
    assert got == status and out == "" and complaint in err
    assert err.count("\n") == 1 and err.startswith("lowland train: ")


def test_resuming_with_other_options_is_refused(capsys):
    run(capsys, "logistic_digits", "--preset", "smoke", "--out", "run")
    status, _, err = run(capsys, "--resume", "run", "--rate", "0.5")
    assert status == 2 and "leave out --rate 0.5" in err
    status, _, err = run(capsys, "mlp", "--resume", "run")
    assert status == 2 and "that is a run of logistic_digits, not of mlp" in err
