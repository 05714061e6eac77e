"""Amounts from a user's own folder, or a sentence that says what is wrong with it."""

import pytest
import torch
from PIL import Image

from lowland.data import labelled_amounts
from lowland.errors import DataError, UsageError


def folder(tmp_path, table: str, bars: int = 4):
    sheet = Image.new("L", (40 + 25 * bars, 50), 200)
    for bar in range(bars):
        sheet.paste(40, (20 + 25 * bar, 10, 25 + 25 * bar, 40))
    sheet.save(tmp_path / "one.png")
    sheet.save(tmp_path / "two.png")
    (tmp_path / "labels.csv").write_text(table)
    return str(tmp_path)


def test_a_table_says_what_the_images_say(tmp_path):
    found = labelled_amounts(folder(tmp_path, "file,amount\none.png,12.50\n\ntwo.png,7\n"), 256)
    assert found.lines.y.tolist() == [[1, 2, 5, 0], [7, -1, -1, -1]]
    assert not found.marked and found.lines.ink.shape[0] == 2


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("one.png,nothing\n", r"labels\.csv: wanted a line|labels\.csv:1: wanted a line"),
        ("one.png,1\ntwo.png\n", r"labels\.csv:2: wanted a line like"),
        ("one.png,1\nthree.png,2\n", r"three\.png"),
        ("", "it has none"),
        ("one.png," + "1" * 80 + "\n", "a digit for each of its"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(tmp_path, table, says):
    with pytest.raises(DataError, match=says):
        labelled_amounts(folder(tmp_path, table), 256)


def test_lines_that_are_too_wide_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"one\.png: wanted a line of writing at most"):
        labelled_amounts(folder(tmp_path, "one.png,1\n", bars=30), 256)


def test_a_folder_without_a_table_and_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"labels\.csv: there is no such file"):
        labelled_amounts(str(tmp_path), 256)
    with pytest.raises(UsageError, match="wanted orand_car_a, digits or a folder"):
        labelled_amounts(str(tmp_path / "nowhere"), 256)


def test_written_amounts_repeat():
    one, two = labelled_amounts("digits", 256, count=5), labelled_amounts("digits", 256, count=5)
    assert torch.equal(one.lines.ink, two.lines.ink) and one.marked
