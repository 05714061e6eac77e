"""MNIST: 70,000 handwritten digits of 28×28 pixels, in the four IDX files of their first publication."""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from .datafile import DataFile, Edition
from .dataset import Dataset, Find
from .formats import read_idx

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def _load(find: Find, split: str) -> dict[str, Any]:
    images, labels = (find(name) for name in FILES[split])
    x, y = read_idx(images), read_idx(labels)
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise DataError(
            f"mnist: wanted as many labels as images; {images} holds {tuple(x.shape)}, {labels} {tuple(y.shape)}."
        )
    return {"x": x.float().div_(255), "y": y.long()}


def _file(name: str, size: int, sha256: str, *others: Edition) -> DataFile:
    return DataFile(name, (*others, Edition(size, sha256, tuple(mirror + name for mirror in MIRRORS))))


MNIST = Dataset(
    name="mnist",
    what="Handwritten digits, size-normalised to a 20×20 box and centred by mass in 28×28 pixels.",
    shapes={"x": "(N, 28, 28) float32 in [0, 1]: 0 is paper, 1 is ink", "y": "(N,) int64: the digit"},
    splits={"train": 60000, "test": 10000},
    source="Y. LeCun, C. Cortes and C. Burges, from NIST Special Databases 1 and 3.",
    licence="CC BY-SA 3.0 is commonly stated.",
    citation="LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998).",
    loader=_load,
    files=(
        _file(
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            # The same 47,040,016 bytes in another gzip wrapper, as rebuilt from PNG copies of the set.
            Edition(9_630_610, "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64"),
        ),
        _file(
            "train-labels-idx1-ubyte.gz",
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _file(
            "t10k-images-idx3-ubyte.gz",
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _file(
            "t10k-labels-idx1-ubyte.gz",
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    classes=tuple("0123456789"),
)
