"""The documentation tells the truth: examples show what they promise, skeletons pass, no public name is left out."""

import ast
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lowland

PACKAGE = Path(lowland.__file__).parent
ROOT = PACKAGE.parents[1]
DOCS = ROOT / "docs"
NEW = sorted((DOCS / "new").glob("*.md"))
LAYERS = sorted(path.stem for path in PACKAGE.iterdir() if (path / "__init__.py").is_file() or path.suffix == ".py")
#: Layers whose names nobody imports: a gallery of files, and two programs.
NO_PAGE = {"__init__", "__main__", "systems", "cli", "serve"}


def fences(page: Path) -> list[tuple[str | None, str]]:
    """Each block of Python on a page, with its title."""
    found = re.findall(r"^```python(?: title=\"(.*?)\")?\n(.*?)^```", page.read_text(), re.M | re.S)
    return [(title or None, code) for title, code in found]


def copy_skeleton(page: Path, folder: Path) -> list[str]:
    """Write the titled blocks of a page to files, as its reader would; returns the names of the tests among them."""
    files = {title: code for title, code in fences(page) if title}
    for title, code in files.items():
        (folder / title).write_text(code)
    return [Path(title).stem for title in files if title.startswith("test_")]


def run_tests(module: str) -> int:
    """Run each test of a module; how many there were."""
    tests = [test for name, test in vars(importlib.import_module(module)).items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder whose files can be imported; what they leave behind, systems included, is cleared away."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("lowland.system._register", {})
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.parametrize(
    "page", [*NEW, DOCS / "paths.md", DOCS / "sequences.md", DOCS / "strategies.md"], ids=lambda page: page.stem
)
def test_a_skeleton_passes_its_own_tests(page, folder):
    tests = copy_skeleton(page, folder)
    assert tests and sum(run_tests(test) for test in tests) > 0


def test_every_layer_that_grows_has_a_page_for_newcomers():
    assert [page.stem for page in NEW] == ["energy", "objective", "solver", "system"]


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=lambda page: page.stem)
def test_examples_run_and_show_what_they_promise(page):
    blocks = [code for _, code in fences(page)]
    assert blocks
    ran = subprocess.run([sys.executable, "-W", "error", "-"], input="\n".join(blocks), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    promised = re.findall(r"#.*→ (.*)$", "\n".join(blocks), re.M)
    assert promised and ran.stdout.splitlines() == promised


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer not in NO_PAGE])
def test_every_public_name_is_documented(layer):
    page = DOCS / "layers" / f"{layer}.md"
    assert page.is_file(), f"docs/layers/{layer}.md: every layer has a page"
    assert f"::: lowland.{layer}\n" in page.read_text()
    module = importlib.import_module(f"lowland.{layer}")
    assert [name for name in _public(module) if not _says_what_it_is(getattr(module, name))] == []


def _public(module) -> list[str]:
    if hasattr(module, "__all__"):
        return module.__all__
    return [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]


def _says_what_it_is(thing: object) -> bool:
    """Whether it has a docstring; the ones that dataclasses and named tuples invent do not count."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)):
        return True  # a constant
    text = getattr(thing, "__doc__", None) or ""
    return bool(text.strip()) and not text.startswith(f"{getattr(thing, '__name__', '')}(")


def test_the_layers_have_public_names():
    lists = [layer for layer in LAYERS if (PACKAGE / layer / "__init__.py").is_file() and layer not in NO_PAGE]
    assert [layer for layer in lists if not hasattr(importlib.import_module(f"lowland.{layer}"), "__all__")] == []


def test_a_name_without_a_docstring_is_found():
    from dataclasses import dataclass
    from typing import NamedTuple

    class Said:
        """What it is."""

    @dataclass
    class Silent:
        x: int

    class Quiet(NamedTuple):
        x: int

    assert _says_what_it_is(Said) and _says_what_it_is(3.0)
    assert not _says_what_it_is(Silent) and not _says_what_it_is(Quiet) and not _says_what_it_is(lambda: None)


@pytest.fixture
def tables():
    """The module that writes tables into pages."""
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_of_pages_say_what_the_ledger_says(tables):
    pages = {page: page.read_text() for page in DOCS.glob("*.md")}
    assert sum("<!-- table: " in text for text in pages.values()) > 0
    assert [page.name for page, text in pages.items() if tables.filled(text) != text] == []


def test_a_figure_that_drifted_is_found(tables, monkeypatch):
    page = (DOCS / "strategies.md").read_text()
    found = tables.metrics("strategies")
    monkeypatch.setattr(tables, "metrics", lambda system: {**found, "replay_volume": found["replay_volume"] + 1})
    assert tables.filled(page) != page


def test_every_page_is_in_the_contents():
    contents = (ROOT / "mkdocs.yml").read_text()
    assert [str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md") if str(p.relative_to(DOCS)) not in contents] == []


def test_code_on_every_page_is_python():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for _, code in fences(page):
            ast.parse(code)


def test_a_planted_fault_in_a_skeleton_is_found(folder):
    """The skeleton's tests look at the skeleton: an energy with the wrong shape fails them."""
    tests = copy_skeleton(DOCS / "new" / "energy.md", folder)
    (name,) = {path.stem for path in folder.glob("*.py")} - set(tests)
    path = folder / f"{name}.py"
    assert ".sum(-1)" in path.read_text()
    path.write_text(path.read_text().replace(".sum(-1)", ".sum()"))
    with pytest.raises(Exception):  # noqa: B017 - whichever check sees it first
        run_tests(tests[0])
