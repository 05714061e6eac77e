"""One thing has one name: the forbidden spellings of docs/names.md are looked for in every signature."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lowland

PACKAGE = Path(lowland.__file__).parent
PAGE = PACKAGE.parents[1] / "docs" / "names.md"


def forbidden(page: str) -> dict[str, str]:
    """Each spelling of the table's last column, and the name to use instead."""
    rows = [line.strip("| \n").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    return {wrong: right for right, _, wrongs in rows for wrong in re.findall(r"`(\w+)`", wrongs)}


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each argument of a function and each field of a class, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.lineno, field.target.id


def faults(folder: Path, wrong: dict[str, str]) -> list[str]:
    return [
        f"{path.relative_to(folder)}:{line} says {name!r}; our word is {wrong[name]}"
        for path in sorted(folder.rglob("*.py"))
        for line, name in named(ast.parse(path.read_text()))
        if name in wrong
    ]


def test_the_package_uses_its_own_names():
    assert faults(PACKAGE, forbidden(PAGE.read_text())) == []


def test_the_page_forbids_no_name_that_it_recommends():
    page = PAGE.read_text()
    right = set(
        re.findall(r"`(\w+)`", " ".join(line.split(" | ")[0] for line in page.splitlines() if line[:3] == "| `"))
    )
    assert len(right) > 20
    assert right.isdisjoint(forbidden(page))


@pytest.mark.parametrize("code", ["def f(x, *, lr): ...", "class C:\n    lr: float = 0.1", "g = lambda lr: lr"])
def test_a_planted_spelling_is_found(tmp_path, code):
    (tmp_path / "planted.py").write_text(code)
    (fault,) = faults(tmp_path, forbidden("| `rate` | how far | `lr`, `eta` |"))
    assert "'lr'; our word is `rate`" in fault
