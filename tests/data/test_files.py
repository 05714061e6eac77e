"""A user's own files: every kind that is taken, and every way in which one can be bad."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data import image_folder, read_images, read_table
from lowland.errors import DataError, UsageError

RAMP = np.arange(4 * 6).reshape(4, 6).astype(np.uint8) * 10


def save(path, array=RAMP, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def piped(monkeypatch):
    """Puts bytes on the standard input."""

    def put(content: bytes):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


@pytest.mark.parametrize("suffix", ["png", "bmp", "pgm", "tiff"])
def test_lossless_images_keep_every_value(tmp_path, suffix):
    images = read_images([save(tmp_path / f"a.{suffix}")])
    assert torch.equal(images["x"], torch.from_numpy(RAMP)[None].float() / 255)
    assert images["names"] == [str(tmp_path / f"a.{suffix}")]


def test_a_jpeg_keeps_them_nearly(tmp_path):
    x = read_images([save(tmp_path / "a.jpg", quality=95)])["x"]
    assert (x[0] - torch.from_numpy(RAMP) / 255).abs().max() < 0.03


def test_sizes_channels_and_inversion(tmp_path):
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 0] = 255
    red = save(tmp_path / "red.png", colours)
    assert read_images([red], channels=3)["x"].mean((0, 2, 3)).tolist() == [1, 0, 0]
    assert read_images([red], size=(2, 5), channels=3)["x"].shape == (1, 3, 2, 5)
    grey = read_images([red], size=(4, 4))["x"]
    assert grey.shape == (1, 4, 4) and grey.mean().item() == pytest.approx(0.299, abs=0.01)
    assert torch.equal(read_images([red], size=(4, 4), invert=True)["x"], 1 - grey)
    assert read_images([save(tmp_path / "grey.png")], channels=3)["x"].shape == (1, 3, 4, 6)


def test_shrinking_averages(tmp_path):
    board = np.indices((32, 32)).sum(0) % 2 * 255
    x = read_images([save(tmp_path / "board.png", board.astype(np.uint8))], size=(4, 4))["x"]
    assert (x - 0.5).abs().max() < 0.05


def test_sixteen_bits_and_transparency(tmp_path):
    deep = save(tmp_path / "deep.png", np.array([[0, 65535], [32768, 13107]], np.uint16))
    assert torch.allclose(read_images([deep])["x"], torch.tensor([[[0, 1], [0.5, 0.2]]]), atol=1e-4)
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0, 3] = 255  # one black pixel on a sheet of glass
    x = read_images([save(tmp_path / "clear.png", clear)])["x"]
    assert x.tolist() == [[[0, 1], [1, 1]]]


def test_a_folder_is_read_in_the_order_a_person_counts(tmp_path):
    for number in (10, 2, 1):
        save(tmp_path / "in" / f"{number}.png", np.full((2, 2), number, np.uint8))
    (tmp_path / "in" / "notes.txt").write_text("not an image, and not taken for one")
    images = read_images([tmp_path / "in"])
    assert (images["x"][:, 0, 0] * 255).round().tolist() == [1, 2, 10]
    assert images["names"][2].endswith("10.png")


def test_a_folder_of_classes_has_labels(tmp_path):
    for name in ("dog/1", "cat/1", "cat/2"):
        save(tmp_path / f"{name}.png")
    images = image_folder(tmp_path)
    assert images["classes"] == ("cat", "dog") and images["y"].tolist() == [0, 0, 1]
    assert images["x"].shape == (3, 4, 6) and images["names"][2].endswith("dog/1.png")


@pytest.mark.parametrize(
    ("array", "size", "shape"),
    [
        (np.full((4, 6), 0.5), None, (1, 4, 6)),
        (np.full((3, 4, 6), 0.5), None, (3, 4, 6)),
        (np.full((3, 24), 0.5), (4, 6), (3, 4, 6)),
        (np.stack([RAMP, RAMP]), (4, 6), (2, 4, 6)),
    ],
)
def test_arrays(tmp_path, array, size, shape):
    np.save(tmp_path / "a.npy", array)
    x = read_images([tmp_path / "a.npy"], size)["x"]
    assert x.shape == shape and x.dtype == torch.float32 and 0 <= x.min() <= x.max() <= 1
    if array.dtype == np.uint8:
        assert torch.equal(x[0], torch.from_numpy(RAMP) / 255)


def test_colour_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 6)))
    assert read_images([tmp_path / "a.npy"], channels=3)["x"].shape == (2, 3, 4, 6)
    np.save(tmp_path / "b.npy", np.zeros((5, 72)))
    assert read_images([tmp_path / "b.npy"], (4, 6), channels=3)["x"].shape == (5, 3, 4, 6)


def test_tables_of_pixels(tmp_path):
    (tmp_path / "a.csv").write_text("0,51,102,255\n255,0,0,0\n")
    images = read_images([tmp_path / "a.csv"], (2, 2))
    assert torch.allclose(images["x"][0], torch.tensor([[0, 0.2], [0.4, 1]]))
    assert images["names"] == [f"{tmp_path / 'a.csv'}[0]", f"{tmp_path / 'a.csv'}[1]"]


def test_the_standard_input_takes_pictures_arrays_and_tables(tmp_path, piped):
    for suffix in ("png", "jpg", "bmp", "pgm", "tiff"):
        piped(save(tmp_path / f"a.{suffix}").read_bytes())
        assert read_images(["-"])["x"].shape == (1, 4, 6), suffix
    piped(b"P2 2 1 255 0 255")
    assert read_images(["-"])["x"].tolist() == [[[0, 1]]]
    np.save(tmp_path / "a.npy", RAMP)
    piped((tmp_path / "a.npy").read_bytes())
    assert read_images(["-"])["x"].shape == (1, 4, 6)
    piped(b"0,0,1,1\n")
    assert read_images(["-"], (2, 2))["names"] == ["-"]
    piped(b"a,b\n1,2\n")
    assert read_table("-")["columns"] == ("a", "b")


def test_tables_of_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeffage;weight\n1;2.5\n\n-3;4e2\n")
    table = read_table(path, columns=2)
    assert table["x"].tolist() == [[1, 2.5], [-3, 400]]
    assert table["columns"] == ("age", "weight")
    assert table["names"] == [f"{path}, line 2", f"{path}, line 4"]
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    assert read_table(tmp_path / "a.npy", 2)["x"].shape == (3, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2\n3,nan\n", r"line 2: wanted finite numbers, got 'nan' in column 2"),
        ("1,2\n3,inf\n", r"line 2: wanted finite numbers, got 'inf' in column 2"),
        ("1,2\n3\n", r"line 2: wanted 2 numbers, got 1"),
        ("1,2\n\n1,2,3\n", r"line 3: wanted 2 numbers, got 3"),
        ("a,b\n1,2\nx,y\n", r"line 3: wanted 2 numbers, got 'x' in column 1"),
        ("1,2\n3,\n", r"line 2: wanted 2 numbers, got '' in column 2"),
        ("1,2\n" + "3" * 200_000 + "\n", "wanted a text file of numbers"),
        ("", "wanted at least one line of numbers"),
        ("a,b\n", "wanted at least one line of numbers"),
    ],
)
def test_bad_tables_are_named_by_line(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=says) as error:
        read_table(tmp_path / "a.csv")
    assert str(error.value).startswith(str(tmp_path / "a.csv"))


def test_a_table_of_the_wrong_width_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(DataError, match="line 1: wanted 4 numbers, got 3"):
        read_images([tmp_path / "a.csv"], (2, 2))
    with pytest.raises(UsageError, match=r"a\.csv: a table does not say how wide"):
        read_images([tmp_path / "a.csv"])
    (tmp_path / "b.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"b\.csv: wanted a text file of numbers"):
        read_table(tmp_path / "b.csv")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"<html>404</html>", b"\x89PNG\r\n\x1a\n", "half"],
    ids=["empty", "text", "web page", "png without content", "truncated"],
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "pgm", "tiff"])
def test_an_image_that_is_not_an_image_is_named(tmp_path, content, suffix):
    path = save(tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[:-25] if content == "half" else content)
    with pytest.raises(DataError, match="wanted a picture") as error:
        read_images([path])
    assert str(path) in str(error.value) and "0x" not in str(error.value)


def test_a_missing_or_closed_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: cannot be opened \(No such file"):
        read_images([tmp_path / "none.png"])
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match=r"loop\.png: cannot be opened"):
        read_images([tmp_path / "loop.png"])


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match=r"in: wanted a folder with images .*; it holds none"):
        read_images([tmp_path / "in"])
    with pytest.raises(DataError, match="it has no sub-folders"):
        image_folder(tmp_path / "in")
    save(tmp_path / "classes" / "full" / "1.png")
    (tmp_path / "classes" / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: wanted a folder with images"):
        image_folder(tmp_path / "classes")
    with pytest.raises(DataError, match=r"none: wanted a folder; it cannot be listed"):
        image_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([[[0.5, np.nan]]]), r"wanted finite numbers, got nan at index \[0, 0, 1\]"),
        (np.full((1, 2, 2), -0.5), r"wanted pixels from 0 to 1.*from -0\.5 to -0\.5"),
        (np.full((1, 2, 2), 300), "got numbers from 300 to 300"),
        (np.zeros((2, 2, 2, 2, 2)), r"wanted an array of shape \(N, H, W\), got \(2, 2, 2, 2, 2\)"),
        (np.zeros(3), r"got \(3,\)"),
        (np.full((1, 2, 2), 0.5, dtype=object), "wanted a .npy array of numbers"),  # pickled: could run code
        (np.array(["a"]), "wanted a .npy array of numbers"),
    ],
)
def test_bad_arrays_are_named(tmp_path, array, says):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=says):
        read_images([tmp_path / "a.npy"])


def test_a_truncated_array_and_one_of_another_size_are_named(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 4)))
    with pytest.raises(DataError, match=r"wanted an array of shape \(N, 8, 8\), got \(2, 4, 4\)"):
        read_images([tmp_path / "a.npy"], (8, 8))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.npy: wanted a \.npy array"):
        read_images([tmp_path / "a.npy"])
    with pytest.raises(DataError, match=r"wanted an array of shape \(N, 3\), got \(2, 4, 4\)"):
        np.save(tmp_path / "a.npy", np.zeros((2, 4, 4)))
        read_table(tmp_path / "a.npy", 3)


def test_images_of_two_sizes_are_named(tmp_path):
    first, second = save(tmp_path / "a.png"), save(tmp_path / "b.png", RAMP.T.copy())
    with pytest.raises(DataError, match=r"b\.png: wanted an image of 4×6 pixels like the ones before, got 6×4"):
        read_images([first, second])
    assert read_images([first, second], (3, 3))["x"].shape == (2, 3, 3)


def test_wrong_use_is_a_sentence(tmp_path):
    with pytest.raises(UsageError, match="wanted channels 1"):
        read_images([save(tmp_path / "a.png")], channels=2)
    with pytest.raises(UsageError, match="wanted at least one"):
        read_images([])
