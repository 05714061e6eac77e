"""A checkpoint gives back what it was given, to the last bit, or says why not; a disk that is full costs nothing old."""

import re
import resource
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import lowland
from lowland.errors import CheckpointError
from lowland.train import checkpoint

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def tensors(number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    shape = [(), (0, 2), (3,), (2, 3)][number % 4]
    return torch.randint(0, 2, shape, generator=generator).to(DTYPES[number % len(DTYPES)])


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.integers(0, 99).map(tensors),
)
STATES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers()), parts, max_size=3),
    ),
    max_leaves=8,
)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@given(STATES)
def test_what_is_read_is_what_was_written(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("states") / "state.safetensors"
    checkpoint.write(path, state)
    assert same(checkpoint.read(path), state)


def test_optimiser_states_and_odd_memory_come_back(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(shared).sum().backward()
    optimizer.step()
    state = OrderedDict(
        optimizer=optimizer.state_dict(), a=shared.T, b=shared, n=np.arange(3, dtype=np.uint32), f=np.float64(2.5)
    )
    checkpoint.write(tmp_path / "state.safetensors", state)
    read = checkpoint.read(tmp_path / "state.safetensors")
    torch.testing.assert_close(read["a"], shared.T, rtol=0, atol=0)
    assert (read["n"] == state["n"]).all() and read["n"].dtype == np.uint32 and read["f"] == 2.5
    assert same(read["optimizer"], state["optimizer"])
    optimizer.load_state_dict(read["optimizer"])


def test_weights_keep_their_names(tmp_path):
    from safetensors.torch import load_file

    checkpoint.write(tmp_path / "model.safetensors", nn.Linear(3, 2).state_dict())
    assert set(load_file(tmp_path / "model.safetensors")) == {"weight", "bias"}


def test_an_object_that_is_neither_tensor_nor_plain_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"can't hold the Linear at 'player/0'.*state_dict"):
        checkpoint.write(tmp_path / "state.safetensors", {"player": [nn.Linear(1, 1)]})
    assert not list(tmp_path.iterdir())


def spoil(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[-3] ^= 1
        path.write_bytes(content)
    elif how == "pickled":
        torch.save({"a": torch.zeros(3)}, path)
    elif how == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(3)}, path)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("cut", "damaged"),
        ("flipped", "don't match its checksum"),
        ("pickled", "damaged or not a checkpoint"),
        ("foreign", "not one that lowland wrote"),
        ("empty", "damaged"),
        ("missing", "no such file"),
    ],
)
def test_a_bad_file_is_named_and_never_half_read(tmp_path, how, complaint):
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, {"a": torch.arange(100.0)})
    spoil(path, how)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        checkpoint.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_full_disk_keeps_the_old_file(tmp_path):
    """A limit on the size of files stands in for a disk that is full."""
    path = tmp_path / "state.safetensors"
    checkpoint.write(path, {"a": torch.zeros(10)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"disk is full or a quota is reached.*--out.*kept"):
            checkpoint.write(path, {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.read(path)["a"].shape == (10,)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_weights_of_another_model_are_refused_by_name():
    state = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).state_dict()
    with pytest.raises(CheckpointError, match=r"runs/a: .*0\.bias is \(4,\) there and \(5,\) here"):
        checkpoint.load_into(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), state, "runs/a")
    with pytest.raises(CheckpointError, match=r"it lacks 2\.bias, 2\.weight"):
        checkpoint.load_into(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2)), state, "runs/a")
    with pytest.raises(CheckpointError, match=r"it has 1\.bias, 1\.weight"):
        checkpoint.load_into(nn.Sequential(nn.Linear(3, 4)), state, "runs/a")


def test_nothing_in_the_package_unpickles():
    """A pickle runs whatever its author wrote; weights and runs are passed around.

    One file reads data sets that others pickled, by a reader in which every name stands for something inert.
    """
    forbidden = re.compile(r"\btorch\.load\(|\bpickle\.load|\bimport pickle\b|\bjoblib\b|allow_pickle=True")
    package = Path(lowland.__file__).parent
    inert = package / "data" / "pickled.py"
    assert "def find_class" in inert.read_text(encoding="utf-8")
    for path in set(package.rglob("*.py")) - {inert}:
        assert not forbidden.search(path.read_text(encoding="utf-8")), path
