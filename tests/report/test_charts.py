import numpy as np
import pytest
import torch

from lowland.errors import UsageError
from lowland.report import bars, clouds, lines, scatter


def test_lines_are_logarithmic_only_where_positive_values_span_decades():
    x = np.arange(1, 4)
    assert lines(x, {"a": [1, 10, 100]}).axes[0].get_yscale() == "log"
    assert lines(x, {"a": [1, 2, 3]}).axes[0].get_yscale() == "linear"
    assert lines(x, {"a": [-1, 10, 100]}).axes[0].get_yscale() == "linear"
    assert lines(x, {"a": [1, 10, 100]}, log=False).axes[0].get_yscale() == "linear"


def test_lines_show_what_they_were_given():
    series = {"ours": torch.tensor([3.0, 2.0, 1.0]), "theirs": [4, 4, 4]}
    bands = {"ours": ([2, 1, 0], [4, 3, 2])}
    figure = lines([1, 2, 4], series, levels={"gate": 2.5}, bands=bands, logx=True)
    axes = figure.axes[0]
    assert axes.get_lines()[0].get_ydata().tolist() == [3, 2, 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ours", "theirs"]
    assert [text.get_text() for text in axes.texts] == ["gate"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4"]
    with pytest.raises(UsageError, match="'ours' as long as x"):
        lines([1, 2], {"ours": [1, 2, 3]})


def test_bars_have_their_values_at_their_ends_first_on_top():
    axes = bars({"ours": 1.5, "theirs": -2.0}, unit="%", levels={"gate": 1}, errors={"ours": 0.1}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1.5 %", "−2 %", "gate"]
    tops = {label.get_text(): tick for label, tick in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert tops["ours"] > tops["theirs"]


def test_points_have_a_colour_for_each_class_and_its_name():
    points = torch.randn(30, 2)
    figure = scatter(points, torch.arange(30) % 3, names=["a", "b", "c"])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b", "c"]
    assert len({tuple(drawn.get_facecolor()[0]) for drawn in figure.axes[0].collections}) == 3
    assert len(scatter(points, points[:, 0]).axes) == 2  # values get a colour bar
    with pytest.raises(UsageError, match="\\(N, 2\\)"):
        scatter(torch.randn(30, 3))


def test_clouds_share_their_part_of_the_plane():
    figure = clouds({str(k): torch.randn(10, 2) for k in range(3)}, extent=(-1, 1, -2, 2), columns=2)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title("left") for axes in shown] == ["0", "1", "2"]
    assert {axes.get_xlim() for axes in shown} == {(-1, 1)} and {axes.get_ylim() for axes in shown} == {(-2, 2)}
    with pytest.raises(UsageError, match="points"):
        clouds({"a": torch.randn(3)}, extent=(0, 1, 0, 1))
