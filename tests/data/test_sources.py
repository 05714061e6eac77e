"""Each source reads its original format: tiny files of that format always, the real ones where this machine has them."""

import gzip
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data import DataFile, dataset, datasets, load
from lowland.errors import DataError


def place(folder: Path, edition, name: str, *contents: bytes):
    """The data set `name` with `contents` as its files, all of them in `folder` and declared with their checksums."""
    found = dataset(name)
    files = []
    for file, content in zip(found.files, contents, strict=True):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / file.name).write_bytes(content)
        files.append(DataFile(file.name, (edition(content),)))
    return replace(found, files=tuple(files))


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def picture(array: np.ndarray, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(out, kind)
    return out.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def mat(**variables) -> bytes:
    import scipy.io

    out = io.BytesIO()
    scipy.io.savemat(out, variables)
    return out.getvalue()


IMAGES = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256
LABELS = np.array([7, 3])


def tiny_mnist(folder, edition, images=None, labels=None):
    images, labels = idx(IMAGES) if images is None else images, idx(LABELS) if labels is None else labels
    return place(folder, edition, "mnist", images, labels, images, labels)


def test_mnist_from_idx(folder, edition):
    data = tiny_mnist(folder, edition).load("test")
    assert data["y"].tolist() == [7, 3] and data["y"].dtype == torch.int64
    assert torch.equal(data["x"], torch.from_numpy(IMAGES).float() / 255)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (idx(IMAGES)[:-20], "wanted a whole gzip file"),
        (idx(IMAGES)[:60], "wanted a whole gzip file"),
        (gzip.compress(gzip.decompress(idx(IMAGES))[:-1]), r"promises 2×28×28 bytes of data; 1,567 follow"),
        (b"", "begins with 00 00 08"),
        (b"<html>not found</html>", "begins with 00 00 08"),
        (picture(IMAGES[0], "PNG"), "begins with 00 00 08"),
        (idx(IMAGES[:1]), "as many labels as images"),
    ],
    ids=["end lost", "most lost", "short inside", "empty", "a web page", "a picture", "too few"],
)
def test_damaged_idx_is_refused_even_where_its_checksum_is_right(folder, edition, images, says):
    with pytest.raises(DataError, match=says) as error:
        tiny_mnist(folder, edition, images).load("train")
    assert "train-images-idx3-ubyte.gz" in str(error.value)


def test_usps_from_hdf5(folder, edition):
    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["test/data"], file["test/target"] = np.eye(2, 256, dtype=np.float32), np.array([1, 0])
    data = place(folder, edition, "usps", out.getvalue()).load("test")
    assert data["x"].shape == (2, 16, 16) and data["x"][1, 0, 1] == 1 and data["y"].tolist() == [1, 0]
    with pytest.raises(DataError, match=r"usps\.h5: wanted an HDF5 file with train/data"):
        place(folder, edition, "usps", out.getvalue()).load("train")
    with pytest.raises(DataError, match=r"usps\.h5: wanted an HDF5 file"):
        place(folder, edition, "usps", out.getvalue()[:100]).load("test")


def test_natural_images_from_tiff_in_a_zip(folder, edition):
    members = {f"book/{n}.tiff": picture(np.full((4, n), n), "TIFF") for n in (10, 2)}
    data = place(folder, edition, "natural_images", archive(members | {"readme.txt": b"hello"})).load()
    assert [tuple(x.shape) for x in data["x"]] == [(4, 2), (4, 10)]
    assert torch.equal(data["x"][0], torch.full((4, 2), 2 / 255))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (archive({"a.tiff": picture(np.zeros((4, 4)), "TIFF")})[:60], "wanted a whole zip archive"),
        (archive({"a.txt": b"hello"}), r"members that end in \.tiff; it has none"),
        (archive({"a.tiff": b"hello"}), r"a\.tiff: wanted an 8-bit picture"),
        (b"", "wanted a whole zip archive"),
    ],
)
def test_damaged_zips_are_refused(folder, edition, content, says):
    with pytest.raises(DataError, match=says):
        place(folder, edition, "natural_images", content).load()


def test_bsds500_from_jpeg_and_mat_in_a_zip(folder, edition):
    people = np.empty((1, 2), dtype=object)
    for person in range(2):
        people[0, person] = {"Segmentation": np.full((6, 8), person + 1), "Boundaries": np.eye(6, 8, dtype=np.uint8)}
    members = {
        "data/images/train/7.jpg": picture(np.full((6, 8, 3), 200), "JPEG"),
        "data/groundTruth/train/7.mat": mat(groundTruth=people),
    }
    data = place(folder, edition, "bsds500", archive(members)).load()
    assert data["x"][0].shape == (3, 6, 8) and data["x"][0].mean().item() == pytest.approx(200 / 255, abs=0.01)
    assert data["segments"][0].shape == (2, 6, 8) and data["segments"][0][1].unique().tolist() == [2]
    assert data["boundaries"][0].dtype == torch.bool and data["boundaries"][0].sum() == 12
    del members["data/groundTruth/train/7.mat"]
    with pytest.raises(DataError, match=r"wanted a zip archive with members that end in \.mat"):
        place(folder, edition, "bsds500", archive(members)).load()
    with pytest.raises(DataError, match=r"data/groundTruth/train/7\.mat among them"):
        place(folder, edition, "bsds500", archive(members | {"data/groundTruth/train/8.mat": b""})).load()


def test_orl_faces_from_pgm_in_a_zip(folder, edition):
    members = {f"att/s{s}/{i}.pgm": picture(np.full((3, 2), 10 * s + i), "PPM") for s in (10, 2) for i in range(1, 11)}
    found = place(folder, edition, "orl_faces", archive(members))
    everyone, train, test = (found.load(split) for split in ("all", "train", "test"))
    assert everyone["x"].shape == (20, 3, 2) and everyone["y"].tolist() == [0] * 10 + [1] * 10
    assert (everyone["x"][:, 0, 0] * 255).round().int().tolist() == [*range(21, 31), *range(101, 111)]
    assert len(train["x"]) == len(test["x"]) == 10
    assert torch.equal(torch.cat([train["x"][:5], test["x"][:5]]), everyone["x"][:10])
    del members["att/s2/3.pgm"]
    with pytest.raises(DataError, match="wanted 10 pictures of one size for each of 2 people"):
        place(folder, edition, "orl_faces", archive(members)).load()


def test_omniglot_from_png_in_two_zips(folder, edition):
    def drawings(where, *characters):
        names = [
            f"{where}/{character}/{number:04}_{person:02}.png"
            for number, character in enumerate(characters)
            for person in range(1, 21)
        ]
        return {name: picture(np.full((105, 105), 255 * (i % 20 > 0)), "PNG") for i, name in enumerate(names)}

    few = drawings("background", "Latin/character10", "Latin/character09", "Greek/character01")
    found = place(folder, edition, "omniglot", archive(few), archive(drawings("evaluation", "Ge_ez/character01")))
    background, evaluation = found.load("background"), found.load("evaluation")
    assert background["x"].shape == (60, 105, 105) and len(evaluation["x"]) == 20
    assert background["x"].dtype == torch.bool and background["x"].all((1, 2)).nonzero().flatten().tolist() == [
        0,
        20,
        40,
    ]
    assert background["character"].bincount().tolist() == [20, 20, 20]
    assert background["alphabet"].tolist() == [0] * 20 + [1] * 40
    assert background["drawer"][:21].tolist() == [*range(20), 0]
    few.popitem()
    with pytest.raises(DataError, match="wanted 20 pictures of 105×105 pixels for each of 3 characters"):
        place(folder, edition, "omniglot", archive(few), archive(few)).load()


def test_cifar10_from_jpeg_in_a_zip(folder, edition):
    white, black = (picture(np.full((32, 32, 3), value), "JPEG") for value in (255, 0))
    members = {"train/cat/0005.jpg": white, "train/airplane/0000.jpg": black, "test/truck/0000.jpg": white}
    found = place(folder, edition, "cifar10_jpeg_subset", archive(members))
    train, test = found.load("train"), found.load("test")
    assert train["x"].shape == (2, 3, 32, 32) and train["x"].mean((1, 2, 3)).tolist() == [0, 1]
    assert train["y"].tolist() == [0, 3] and test["y"].tolist() == [9]
    for wrong, says in (
        ({"train/zebra/0000.jpg": white}, "has a folder zebra"),
        ({"test/cat/0000.jpg": white}, "it has none"),
        ({"train/cat/0000.jpg": picture(np.zeros((32, 31, 3)), "JPEG")}, "32×32 pixels; it holds others"),
    ):
        with pytest.raises(DataError, match=says):
            place(folder, edition, "cifar10_jpeg_subset", archive(wrong)).load("train")


def test_frey_faces_from_mat(folder, edition):
    frames = np.random.default_rng(0).integers(0, 256, (560, 3)).astype(np.uint8)
    data = place(folder, edition, "frey_faces", mat(ff=frames)).load()
    assert torch.equal(data["x"][2], torch.from_numpy(frames[:, 2].reshape(28, 20)).float() / 255)
    for bad in (mat(gg=frames), mat(ff=frames)[:150], b"", b"hello" * 100):
        with pytest.raises(DataError, match=r"frey_rawface\.mat"):
            place(folder, edition, "frey_faces", bad).load()


PERSON = "39, {}, 77516, Bachelors, 13, Never-married, Sales, Wife, White, {}, 2174, 0, 40, Cuba, {}\n"
TRAIN = (PERSON.format("Private", "Male", "<=50K") + PERSON.format("?", "Female", ">50K")).encode() + b"\n"
TEST = b"|1x3 Cross validator\n" + PERSON.format("Private", "Female", ">50K.").encode()


def test_adult_from_text(folder, edition):
    found = place(folder, edition, "adult", gzip.compress(TRAIN), TEST)  # packed and unpacked both count
    train, test = found.load("train"), found.load("test")
    assert train["y"].tolist() == [0, 1] and test["y"].tolist() == [1]
    assert test["numbers"].tolist() == [[39, 77516, 13, 2174, 0, 40]]
    assert train["categories"][:, 0].tolist() == [1, 0] and test["categories"][0, 0] == 1
    assert train["x"].shape == (2, 6 + 8 + 2) and test["x"].shape == (1, 6 + 8 + 2)
    assert train["x"].isfinite().all() and (train["x"][:, 6:].sum(1) == 8).all()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (TRAIN + b"39, Private\n", "line 4: wanted 15 fields"),
        (TRAIN.replace(b">50K", b"rich"), "line 2: wanted 15 fields, the last <=50K or >50K"),
        (TRAIN.replace(b"77516", b"many", 1), "wanted a whole number for fnlwgt, got 'many'"),
        (b"", "there are none"),
    ],
)
def test_bad_lines_of_adult_are_named(folder, edition, bad, says):
    with pytest.raises(DataError, match=says):
        place(folder, edition, "adult", gzip.compress(bad), TEST).load("train")


def test_a_word_that_training_never_saw_is_named(folder, edition):
    with pytest.raises(DataError, match=r"adult\.test\.gz: .*workclass.*'Volunteer'"):
        place(folder, edition, "adult", TRAIN, TEST.replace(b"Private", b"Volunteer")).load("test")


# What follows reads the real files.

COUNTS = {
    ("mnist", "train"): [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    ("mnist", "test"): [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ("usps", "train"): [1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
    ("usps", "test"): [359, 264, 198, 166, 200, 160, 170, 147, 166, 177],
    ("adult", "train"): [24720, 7841],
    ("adult", "test"): [12435, 3846],
    ("orl_faces", "all"): [10] * 40,
    ("orl_faces", "train"): [5] * 40,
    ("cifar10_jpeg_subset", "train"): [1000] * 10,
    ("cifar10_jpeg_subset", "test"): [200] * 10,
    ("digits", "all"): [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
    ("digits", "train"): [142, 146, 142, 146, 145, 145, 145, 143, 139, 144],
}
SHAPES = {"mnist": (28, 28), "usps": (16, 16), "digits": (8, 8), "orl_faces": (112, 92), "frey_faces": (28, 20)} | {
    "cifar10_jpeg_subset": (3, 32, 32)
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if found.embedded else pytest.mark.data(name)) for name, found in datasets().items()],
)
def test_the_real_files_hold_what_their_description_says(name):
    found = dataset(name)
    assert [(state.name, state.state) for state in found.verify()] == [(file.name, "ok") for file in found.files]
    for split, samples in found.splits.items():
        data = found.load(split, download=False)
        assert set(data) == set(found.shapes)
        for values in data.values():
            assert len(values) == samples
            tensors = [
                part for part in (values if isinstance(values, list) else [values]) if isinstance(part, torch.Tensor)
            ]
            assert all(part.isfinite().all() for part in tensors)
        if name in SHAPES:
            assert data["x"].shape == (samples, *SHAPES[name]) and data["x"].dtype == torch.float32
            assert data["x"].min() >= 0 and data["x"].max() <= 1
        if "y" in data:
            labels = torch.cat(data["y"]) if isinstance(data["y"], list) else data["y"]
            assert labels.dtype == torch.int64 and labels.max() == len(found.classes) - 1
        if (name, split) in COUNTS:
            assert data["y"].bincount().tolist() == COUNTS[name, split]


@pytest.mark.data("bsds500", "natural_images")
def test_real_photographs_have_their_published_sizes():
    assert {tuple(x.shape) for x in load("natural_images")["x"]} == {(256, 512), (512, 256)}
    photographs = load("bsds500")
    assert {tuple(x.shape) for x in photographs["x"]} == {(3, 321, 481), (3, 481, 321)}
    assert all(x.shape[1:] == s.shape[1:] for x, s in zip(photographs["x"], photographs["segments"], strict=True))


@pytest.mark.data("frey_faces", "adult")
def test_real_values_are_those_of_the_originals():
    frames = load("frey_faces")["x"] * 255
    assert (frames.min().round(), frames.max().round()) == (8, 238)
    assert load("adult", "test")["x"].shape == (16281, 108)
    assert load("adult", "train")["numbers"][0].tolist() == [39, 77516, 13, 2174, 0, 40]


def test_the_digits_are_those_of_the_published_split():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    _, x_test, _, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    data = load("digits", "test")
    assert torch.equal(data["x"].flatten(1) * 16, torch.from_numpy(x_test).float())
    assert data["y"].tolist() == y_test.tolist()
    (checksum,) = dataset("digits").checksums().values()
    assert len(checksum) == 64
