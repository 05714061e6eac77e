"""Finding, downloading and refusing files, against a web server on this machine."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lowland.data import DataFile
from lowland.errors import DataError, UsageError

CONTENT = bytes(range(256)) * 1000


def part(cache):
    return cache / "letters" / "letters.bin.part"


def test_a_missing_file_is_downloaded_once_and_then_found(cache, shop, one_file):
    shop.offers["a"] = CONTENT
    dataset = one_file(CONTENT, shop.url("a"))
    assert dataset.verify()[0].state == "missing" and not dataset.present
    assert dataset.load()["x"] == CONTENT
    assert dataset.load()["x"] == CONTENT
    assert len(shop.asked) == 1
    assert dataset.present and not part(cache).exists()
    assert dataset.checksums() == {"letters.bin": dataset.files[0].editions[0].sha256}


def test_the_named_folder_comes_before_the_cache(folder, cache, shop, one_file):
    dataset = one_file(CONTENT)
    for place in (folder, cache):
        (place / "letters").mkdir(parents=True)
        (place / "letters" / "letters.bin").write_bytes(CONTENT)
    assert dataset.verify()[0].path == folder / "letters" / "letters.bin"
    (folder / "letters" / "letters.bin").unlink()
    assert dataset.verify()[0].path == cache / "letters" / "letters.bin"


def test_an_interrupted_download_continues_where_it_stopped(cache, shop, one_file):
    shop.offers["a"] = CONTENT
    shop.hang_up_after = 100_000
    dataset = one_file(CONTENT, shop.url("a"))
    with pytest.raises(DataError, match=r"letters\.bin could not be downloaded from http.*/a"):
        dataset.load()
    kept = part(cache).stat().st_size
    assert 0 < kept <= 100_000
    shop.hang_up_after = None
    assert dataset.load()["x"] == CONTENT
    assert shop.asked[-1] == ("/a", f"bytes={kept}-")
    assert not part(cache).exists()


def test_a_server_that_cannot_continue_sends_everything_again(cache, shop, one_file):
    shop.offers["a"], shop.ranges = CONTENT, False
    part(cache).parent.mkdir(parents=True)
    part(cache).write_bytes(CONTENT[:5000])
    assert one_file(CONTENT, shop.url("a")).load()["x"] == CONTENT
    assert shop.asked == [("/a", "bytes=5000-")]


@pytest.mark.parametrize("stale", [b"other bytes", CONTENT + b"more"])
def test_a_part_of_other_bytes_is_thrown_away(cache, shop, one_file, stale):
    shop.offers["a"] = CONTENT
    part(cache).parent.mkdir(parents=True)
    part(cache).write_bytes(stale)
    assert one_file(CONTENT, shop.url("a")).load()["x"] == CONTENT


def test_other_bytes_are_refused_and_the_next_address_is_tried(cache, shop, one_file):
    shop.offers |= {"wrong": b"<html>Sorry</html>", "right": CONTENT}
    assert one_file(CONTENT, shop.url("gone"), shop.url("wrong"), shop.url("right")).load()["x"] == CONTENT
    with pytest.raises(DataError, match=r"gone \(HTTP status 404\); .*wrong \(served other bytes") as error:
        replace(one_file(CONTENT[:9], shop.url("gone"), shop.url("wrong")), name="others").load()
    assert "Put it into" in str(error.value) and "SHA-256" in str(error.value)
    assert sorted(path.name for path in (cache / "others").iterdir() if path.suffix != ".lock") == []


def test_several_processes_of_one_run_download_once(cache, shop, one_file):
    shop.offers["a"] = CONTENT
    dataset = one_file(CONTENT, shop.url("a"))
    with ThreadPoolExecutor(4) as players:
        assert list(players.map(lambda _: dataset.load()["x"] == CONTENT, range(4))) == [True] * 4
    assert len(shop.asked) == 1


def test_no_network_is_a_sentence(cache, one_file):
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/a \(ConnectionError\)"):
        one_file(CONTENT, "http://127.0.0.1:9/a").load()


def test_a_file_without_an_address_says_where_to_put_it(folder, one_file):
    dataset = one_file(CONTENT)
    with pytest.raises(DataError) as error:
        dataset.load()
    sentence = str(error.value)
    assert "no public address is known" in sentence
    assert f"{folder / 'letters'}" in sentence and "256,000 bytes" in sentence
    assert dataset.files[0].editions[0].sha256 in sentence


def test_nothing_is_downloaded_when_told_not_to(cache, shop, one_file):
    shop.offers["a"] = CONTENT
    with pytest.raises(DataError, match=r"letters: letters\.bin is not on this machine"):
        one_file(CONTENT, shop.url("a")).load(download=False)
    assert shop.asked == []


def test_a_full_disk_is_a_sentence_and_leaves_nothing_broken(cache, shop, one_file):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full, the device that is always full")
    shop.offers["a"] = CONTENT
    dataset = one_file(CONTENT, shop.url("a"))
    part(cache).parent.mkdir(parents=True)
    part(cache).symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"no room for letters\.bin in .*letters.*No space left") as error:
        dataset.load()
    assert isinstance(error.value.__cause__, OSError) and error.value.__cause__.errno == errno.ENOSPC
    assert dataset.verify()[0].state == "missing"
    part(cache).unlink()  # there is room again
    assert dataset.load()["x"] == CONTENT


def test_a_quota_keeps_what_came_and_continues_there(cache, shop, one_file):
    resource = pytest.importorskip("resource")
    shop.offers["a"] = CONTENT
    dataset = one_file(CONTENT, shop.url("a"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DataError, match=r"no room for letters\.bin"):
            dataset.load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = part(cache).stat().st_size
    assert 0 < kept <= 100_000
    assert dataset.load()["x"] == CONTENT
    assert shop.asked[-1][1] == f"bytes={kept}-"


def test_a_cache_that_cannot_be_written_is_a_sentence(cache, shop, one_file):
    shop.offers["a"] = CONTENT
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"letters: cannot write .*letters\.bin.*LOWLAND_DATA"):
        one_file(CONTENT, shop.url("a")).load()


def test_no_permission_to_write_is_a_sentence(cache, shop, one_file, monkeypatch):
    shop.offers["a"] = CONTENT

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(DataError, match=r"cannot write .*Permission denied"):
        one_file(CONTENT, shop.url("a")).load()


def test_an_edition_under_its_own_name_counts(folder, one_file, edition):
    other = b"the same, unpacked"
    dataset = replace(
        one_file(CONTENT),
        files=(DataFile("letters.bin", (edition(CONTENT), edition(other, name="letters.txt"))),),
    )
    (folder / "letters").mkdir()
    (folder / "letters" / "letters.txt").write_bytes(other)
    assert dataset.load()["x"] == other
    assert list(dataset.checksums()) == ["letters.txt"]


def test_an_unknown_split_is_a_sentence(one_file):
    with pytest.raises(UsageError, match="letters: wanted one of the splits all; got 'train'"):
        one_file(CONTENT).load("train")
    with pytest.raises(UsageError, match="letters: wanted some of the splits all"):
        one_file(CONTENT).record("all", "train")
