"""Files that are not what they should be are refused by name, and never read."""

import os

import pytest

from lowland.errors import DataError

CONTENT = b"\x1f\x8b" + bytes(5000)


@pytest.fixture
def lying(folder):
    path = folder / "letters" / "letters.bin"
    path.parent.mkdir()
    return path


@pytest.mark.parametrize(
    ("bad", "state", "says"),
    [
        (CONTENT[:100], "wrong size", "holds 100 bytes that begin like a gzip file; 5,002 bytes are wanted"),
        (b"", "wrong size", "is empty"),
        (b"\n<!DOCTYPE html><p>404", "wrong size", "begin like a web page"),
        (b"\x89PNG".ljust(5002), "wrong checksum", "begin like a PNG image and its SHA-256 is"),
        (CONTENT[:-1] + b"x", "wrong checksum", "SHA-256"),
    ],
    ids=["truncated", "empty", "web page", "foreign", "one byte differs"],
)
def test_a_bad_file_is_named_and_not_read(lying, one_file, bad, state, says):
    lying.write_bytes(bad)
    dataset = one_file(CONTENT)
    (found,) = dataset.verify()
    assert (found.state, found.ok, found.path) == (state, False, lying)
    assert says in found.detail
    with pytest.raises(DataError) as error:
        dataset.load()
    assert str(lying) in str(error.value) and state in str(error.value)
    assert dataset.checksums() == {}


def test_a_folder_in_place_of_the_file_is_unreadable(lying, one_file):
    lying.mkdir()
    with pytest.raises(DataError, match=r"unreadable.*not a regular file"):
        one_file(CONTENT).load()


def test_a_dangling_link_is_unreadable(lying, one_file):
    lying.symlink_to("nowhere")
    with pytest.raises(DataError, match="No such file"):
        one_file(CONTENT).load()


def test_a_file_without_read_permission_is_unreadable(lying, one_file, monkeypatch):
    lying.write_bytes(CONTENT)
    lying.chmod(0)
    if os.access(lying, os.R_OK):  # root may read everything

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("lowland.data.datafile.open", refuse, raising=False)
    assert one_file(CONTENT).verify()[0].state == "unreadable"
    with pytest.raises(DataError, match="Permission denied"):
        one_file(CONTENT).load()


def test_a_checksum_is_computed_once_until_the_file_changes(lying, one_file, monkeypatch):
    lying.write_bytes(CONTENT)
    assert one_file(CONTENT).present
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", lambda *_: pytest.fail("computed twice"))
        assert one_file(CONTENT).present
    lying.write_bytes(CONTENT[:-1] + b"x")
    os.utime(lying, (1, 1))
    assert one_file(CONTENT).verify()[0].state == "wrong checksum"
