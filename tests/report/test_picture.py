import subprocess
import sys
import xml.etree.ElementTree as xml

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from lowland.errors import UsageError
from lowland.report import Picture, images, landscape, lines, panels, table
from lowland.report.picture import svg
from lowland.report.style import _LOWLAND, INK, array, duration, number


def test_a_figure_becomes_svg_that_takes_the_page_s_colours():
    text = Picture("Curve", "What <is> seen", lines([0, 1], {"a & b": [1, 2], "c": [2, 1]})).body
    xml.fromstring(text)  # well-formed
    assert f"var(--ink, {INK})" in text
    assert text.replace(f"var(--ink, {INK})", "").count(INK) == 0
    assert 'aria-label="Curve. What &lt;is&gt; seen"' in text
    assert "a &amp; b" in text  # text stays text
    assert "<metadata" not in text


def test_equal_figures_are_equal_bytes():
    def draw():
        return svg(landscape(lambda x: x.square().sum(-1), "x", resolution=20), "alt")

    assert draw() == draw()


def test_a_figure_of_enormous_svg_is_sent_as_an_image():
    figure, axes = panels()
    axes[0, 0].scatter(*np.random.default_rng(0).normal(size=(2, 20000)))
    assert Picture("Dots", "", figure).body.startswith('<img alt="Dots"')


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    assert Picture("", "", images(np.zeros((2, 4, 4)))).body
    assert dict(matplotlib.rcParams) == before


def test_importing_the_layer_loads_nothing_heavy_and_drawing_never_pyplot():
    code = (
        "import sys, lowland.report as report; heavy = {'matplotlib', 'jinja2', 'PIL'} & set(sys.modules); "
        "report.lines([0, 1], {'a': [0, 1]}); print(*sorted(heavy), *['pyplot'] * ('matplotlib.pyplot' in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_a_table_escapes_rounds_and_brings_out():
    html = table(
        [{"name": "<b>", "value": 0.123456}, {"name": "x", "value": None}], highlight={(0, "value"): "good"}
    ).html
    assert "&lt;b&gt;" in html
    assert '<td class="number good">0.1235</td>' in html
    assert '<td class="number">–</td>' in html
    with pytest.raises(UsageError, match="2 values in row 0"):
        table([[1, 2, 3]], ["a", "b"])
    with pytest.raises(UsageError, match="columns"):
        table([])


def test_a_picture_is_a_figure_or_a_table():
    with pytest.raises(UsageError, match="wanted a matplotlib Figure"):
        Picture("Title", "", "a text")
    assert "<figcaption>seen</figcaption>" in Picture("Title", "seen", Figure())._repr_html_()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.123456, "", "0.1235"), (99.666, "%", "99.67 %"), (3.0, "%", "3 %"), (-12.5, "nats", "−12.5 nats"), (None, "", "–"),
        (1234567, "", "1 234 567"), (1.5e-7, "", "1.50e−07"), (float("inf"), "", "∞"), (0.0, "", "0"), (0.98765, "", "0.9877"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_a_reader(value, unit, text):
    assert number(value, unit).replace("\u2009", " ").replace("\u00a0", " ") == text


def test_times_are_written_for_a_reader():
    assert [duration(seconds) for seconds in (8.44, 200, 3900, None)] == ["8.4 s", "3 min 20 s", "1 h 05 min", "–"]


def test_energies_are_coloured_by_even_steps_of_lightness():
    colours = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in _LOWLAND])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    lightness = np.cbrt(linear @ to_lms.T) @ [0.2105, 0.7936, -0.0041]
    steps = np.diff(lightness)
    assert steps.min() > 0.05
    assert steps.max() < 1.35 * steps.mean()


def test_half_precision_is_an_array_too():
    import torch

    assert array(torch.ones(2, dtype=torch.bfloat16, requires_grad=True)).tolist() == [1, 1]
