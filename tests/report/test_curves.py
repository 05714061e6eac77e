import json

import numpy as np
import pytest

from lowland.errors import CheckpointError, UsageError
from lowland.report import compare, curves
from lowland.report.curves import Series, read_metrics, terms


def run(folder, name, lines, **result):
    (folder / name).mkdir()
    (folder / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / name / "result.json").write_text(json.dumps({"metrics": [{"name": "error", "value": 1.25}], **result}))
    return folder / name


LINES = [
    {"stage": "fit", "step": step, "epoch": 0, "loss": 10.0 / (1 + step), "parts": {"gap": 1.0}, "validation_loss": 9.0}
    for step in range(5)
]


def test_terms_are_read_by_stage_and_split():
    found = terms(LINES)
    assert set(found) == {"loss", "gap"}
    assert set(found["loss"]) == {Series("fit", "train"), Series("fit", "validation")}
    steps, values = found["loss"][Series("fit", "train")]
    assert steps.tolist() == [0, 1, 2, 3, 4]
    assert values[1] == 5.0


def test_lines_without_a_step_count_by_themselves_and_a_single_value_is_no_curve():
    found = terms([{"stage": "", "inertia": 3.0}, {"stage": "", "inertia": 2.0}, {"once": 1.0, "flag": True}])
    assert list(found) == ["inertia"]
    assert found["inertia"][Series("", "train")][0].tolist() == [0, 1]


def test_a_long_curve_keeps_its_mean():
    values = np.random.default_rng(0).normal(size=4000)
    steps, thinned = terms([{"step": step, "loss": value} for step, value in enumerate(values)])["loss"][
        Series("", "train")
    ]
    assert len(steps) == 400
    assert np.isclose(thinned.mean(), values.mean())


def test_each_term_has_a_panel_and_stages_share_it():
    figure = curves([*LINES, *[{**line, "stage": "polish"} for line in LINES]])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["loss", "gap"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "fit", "fit (validation)", "polish", "polish (validation)",
    ]  # fmt: skip
    colours = [{line.get_label(): line.get_color() for line in axes.get_lines()} for axes in figure.axes[:2]]
    assert colours[0]["polish"] == colours[1]["polish"] == colours[0]["polish (validation)"]
    assert len(curves(LINES, only=["gap"]).axes) == 1
    with pytest.raises(UsageError, match="logged twice"):
        curves(LINES[:1])


def test_the_cut_last_line_of_a_killed_run_is_left_out_and_any_other_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"loss": 1}\n{"loss": 2}\n{"lo')
    assert read_metrics(tmp_path) == [{"loss": 1}, {"loss": 2}]
    path.write_text('{"loss": 1}\n{"lo\n{"loss": 2}\n')
    with pytest.raises(CheckpointError, match="line 2"):
        read_metrics(path)
    with pytest.raises(CheckpointError, match="No such file"):
        read_metrics(tmp_path / "nothing.jsonl")


def test_runs_are_compared_on_the_same_axes_and_in_a_table(tmp_path):
    folders = [run(tmp_path, "one", LINES, seed=1, seconds=3.0), run(tmp_path, "two", LINES, seed=2)]
    drawn, figures = compare(folders)
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()] == ["one", "two"]
    assert drawn.figure.axes[0].get_lines()[0].get_ydata().tolist() == [9.0] * 5  # validation, where there is some
    assert figures.figure.html.count("1.25") == 2
    assert "<th" in figures.figure.html.split("one")[0]  # a column for each run
    assert "<svg" in compare(folders)._repr_html_()


def test_energies_are_compared_on_one_scale():
    (picture,) = compare({"a": lambda x: x.sum(-1), "b": lambda x: 2 * x.sum(-1)}, "x", resolution=10)
    assert len(picture.figure.axes) == 3


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least one"):
        compare([])
    with pytest.raises(UsageError, match="variable"):
        compare({"a": lambda x: x.sum(-1)})
    with pytest.raises(CheckpointError, match="finished run"):
        compare([tmp_path])
