"""An empty machine for the data tests: no data sets, a cache in a temporary folder, and a small web server."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lowland.data import DataFile, Dataset, Edition


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder of a user who has no data; LOWLAND_DATA is not set."""
    monkeypatch.delenv("LOWLAND_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lowland"


@pytest.fixture
def folder(cache, tmp_path, monkeypatch):
    """An empty folder that LOWLAND_DATA names."""
    folder = tmp_path / "named"
    folder.mkdir()
    monkeypatch.setenv("LOWLAND_DATA", str(folder))
    return folder


@dataclass
class Shop:
    """A web server: what it offers, what it was asked for, and after how many bytes it hangs up."""

    address: str = ""
    offers: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    hang_up_after: int | None = None
    ranges: bool = True

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            shop.asked.append((self.path, wanted))
            content = shop.offers.get(self.path.lstrip("/"))
            if content is None:
                return self.send_error(404)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and shop.ranges else 0
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start:][: shop.hang_up_after])

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        shop.address = f"http://127.0.0.1:{server.server_port}"
        yield shop
        server.shutdown()


def edition(content: bytes, *urls: str, name: str = "") -> Edition:
    return Edition(len(content), hashlib.sha256(content).hexdigest(), urls, name)


def one_file(content: bytes, *urls: str) -> Dataset:
    """A data set of one file, whose loader gives its bytes."""
    return Dataset(
        name="letters",
        what="A test.",
        shapes={"x": "bytes"},
        splits={"all": 1},
        source="here",
        licence="none",
        citation="none",
        loader=lambda find, split: {"x": find("letters.bin").read_bytes()},
        files=(DataFile("letters.bin", (edition(content, *urls),)),),
    )


@pytest.fixture(name="one_file")
def _one_file():
    return one_file


@pytest.fixture(name="edition")
def _edition():
    return edition
