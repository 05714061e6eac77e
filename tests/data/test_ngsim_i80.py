"""Leader-follower pairs of the I-80: a tiny archive of their format, and the real one where this machine has it."""

import io
import tarfile
from dataclasses import replace

import pytest
import torch

from lowland.data import DataFile, dataset, load
from lowland.errors import DataError

COLUMNS = "t,x_follower,v_follower,a_follower,x_leader,v_leader,a_leader,leader_length,spacing,dv"


def pair(times) -> str:
    return "\n".join([COLUMNS, *(f"{t:.1f},0,10,1,{100 + t},20,-1,15,50,10" for t in times)])


def archive(*tables: str) -> bytes:
    splits = ("train", "test")
    manifest = [
        "follower,split,path",
        *(f"{7 + index},{splits[index]},{splits[index]}/{index}.csv" for index in range(len(tables))),
    ]
    files = {
        "manifest.csv": "\n".join(manifest),
        **{f"{splits[index]}/{index}.csv": table for index, table in enumerate(tables)},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:xz") as file:
        for name, text in files.items():
            info = tarfile.TarInfo(f"cf_ngsim_I80/{name}")
            info.size = len(text.encode())
            file.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture
def pairs(tmp_path, monkeypatch, edition):
    monkeypatch.setenv("LOWLAND_DATA", str(tmp_path))

    def place(content: bytes):
        found = dataset("ngsim_i80")
        (tmp_path / "ngsim_i80").mkdir(exist_ok=True)
        name = found.files[0].name
        (tmp_path / "ngsim_i80" / name).write_bytes(content)
        return replace(found, files=(DataFile(name, (edition(content),)),))

    return place


def test_feet_become_metres_and_splits_are_kept(pairs):
    found = pairs(archive(pair([0.0, 0.1, 0.2]), pair([5.0, 5.1])))
    train, test = (found.load(split, download=False)["pairs"] for split in ("train", "test"))
    assert [len(part) for part in (*train, *test)] == [3, 2]
    torch.testing.assert_close(train[0][0], 0.3048 * torch.tensor([50.0, 10, 1, 20, -1, 100]))


def test_gaps_and_numbers_that_are_not_finite_are_refused(pairs):
    found = pairs(archive(pair([0.0, 0.1, 0.6]), pair([5.0, 5.1]).replace("20,-1", "nan,-1", 1)))
    with pytest.raises(DataError, match=r"follower 7 is missing for 0.5 s after 0.1 s"):
        found.load("train", download=False)
    with pytest.raises(DataError, match=r"follower 8 has a number that is not finite in row 1"):
        found.load("test", download=False)


def test_the_real_ones():
    try:
        test = load("ngsim_i80", "test", download=False)["pairs"]
    except DataError:
        pytest.skip("this machine has no ngsim_i80")
    assert len(test) == 20 and all(len(one) >= 500 and bool((one[:, 0] > 0).all()) for one in test)
