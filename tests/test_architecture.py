"""Imports point down the list of layers, and a file that is on no list fails."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lowland

PACKAGE = Path(lowland.__file__).parent

#: What may import what: a layer sees the layers of a smaller rank, and itself.
RANK = {
    "errors": 0,
    "spaces": 1,
    "energy": 2,
    "inference": 3,
    "objectives": 4,
    "nets": 4,
    "contracts": 7,
    "data": 5,
    "system": 6,
    "environments": 6,
    "train": 7,
    "report": 7,
    "systems": 8,
    "serve": 9,
    "cli": 10,
}
#: Usable inside somebody else's training loop: torch, the standard library, jaxtyping for annotations, names that come when asked for.
CORE = ("errors", "spaces", "energy", "inference", "objectives")
CORE_LIBRARIES = {"torch", "jaxtyping", "lazy_loader", *sys.stdlib_module_names}
#: Layers that ``import lowland`` loads at once; it loads the others when a name of theirs is first asked for.
EAGER = ("errors", "spaces", "energy", "inference")
#: Names that say nothing about what is inside.
DRAWERS = {"utils", "util", "helpers", "helper", "base", "common", "misc"}


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str, bool]]:
    """Each import anywhere in a file as (line, absolute module, whether it runs when the file is imported).

    ``import_module("…")`` with a constant counts: it is an import by another spelling.
    """
    later = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or _only_for_types(outer)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            start = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [start, node.module]))
            modules = [f"{module}.{alias.name}" for alias in node.names] if module == "lowland" else [module]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            modules = [a.value for a in node.args if isinstance(a, ast.Constant) and str(a.value).startswith("lowland")]
        for module in modules:
            yield node.lineno, module, id(node) not in later


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def faults(folder: Path) -> list[str]:
    """A sentence for each import of a package laid out like ours that breaks the rules."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder).with_suffix("")
        if inside.parts[0] in ("__main__", "__init__"):
            layer = "cli" if inside.parts[0] == "__main__" else "lowland"
        else:
            layer = inside.parts[0]
            if layer not in RANK:
                found.append(f"{inside}: {layer!r} is on no list; give it a rank in RANK or a place in a layer")
                continue
        for part in DRAWERS.intersection(inside.parts):
            found.append(f"{inside}: {part!r} says nothing about what is inside; name it after what it does")
        package = ".".join(["lowland", *inside.parts[:-1]])
        for line, module, at_once in imports(ast.parse(path.read_text()), package):
            complaint = _complaint(layer, module, at_once)
            if complaint:
                found.append(f"{inside}.py:{line} imports {module}: {complaint}")
    return found


def _complaint(layer: str, module: str, at_once: bool) -> str | None:
    name, _, rest = module.partition(".")
    if name != "lowland":
        if layer in CORE and name not in CORE_LIBRARIES:
            return f"{layer} imports only torch, jaxtyping, lazy_loader and the standard library"
        return None
    target = rest.partition(".")[0]
    if layer == "lowland":
        return f"`import lowland` loads only {', '.join(EAGER)}" if at_once and target not in EAGER else None
    if target not in RANK:
        return f"{module!r} is no layer; import a name from the file that defines it"
    if layer == target == "systems":
        return "a system never imports another system"
    if layer == "system" and target == "systems":
        return None  # the register finds the gallery by its name; no name of the gallery is used
    if layer != target and RANK[layer] <= RANK[target]:
        return f"{layer} (rank {RANK[layer]}) must not see {target} (rank {RANK[target]})"
    return None


def test_imports_point_down():
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "code", "complaint"),
    [
        ("energy/quadratic.py", "from lowland.inference import solve", "energy (rank 2) must not see inference"),
        ("energy/quadratic.py", "from ..inference.solver import solve", "energy (rank 2) must not see inference"),
        ("energy/quadratic.py", "def f():\n    from ..inference import solve", "must not see inference"),
        ("energy/quadratic.py", "if TYPE_CHECKING:\n    from ..inference import Solver", "must not see inference"),
        ("energy/quadratic.py", "from .. import inference", "must not see inference"),
        ("energy/quadratic.py", "import importlib\nimportlib.import_module('lowland.train')", "must not see train"),
        ("energy/quadratic.py", "import numpy as np", "only torch, jaxtyping"),
        ("energy/quadratic.py", "from lowland import Energy", "is no layer"),
        ("objectives/loss.py", "from ..nets import mlp", "objectives (rank 4) must not see nets"),
        ("train/fit.py", "from ..systems.lenet import build", "train (rank 7) must not see systems"),
        ("systems/vision/lenet.py", "from lowland.systems.vision.mlp import build", "never imports another system"),
        ("systems/vision/lenet.py", "from .mlp import build", "never imports another system"),
        ("drawer/thing.py", "", "on no list"),
        ("drawer.py", "", "on no list"),
        ("train/utils.py", "", "says nothing"),
        ("__init__.py", "from .train import fit", "loads only"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, file, code, complaint):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(code)
    assert len(faults(tmp_path)) == 1
    assert complaint in faults(tmp_path)[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("energy/quadratic.py", "import math\nimport torch\nfrom jaxtyping import Float\nfrom ..spaces import Real"),
        ("energy/__init__.py", "from .energy import Energy\nfrom .quadratic import Quadratic"),
        ("systems/vision/lenet.py", "import numpy\nfrom lowland.train import Player\nfrom ...energy import Energy"),
        ("__init__.py", "from .energy import Energy\ndef __getattr__(name):\n    from .train import fit"),
        ("__main__.py", "from .cli import main"),
    ],
)
def test_what_is_allowed_is_let_through(tmp_path, file, code):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(code)
    assert faults(tmp_path) == []


def test_the_core_loads_without_the_rest():
    """``import lowland`` draws in no heavy library and no upper layer."""
    import subprocess

    code = (
        "import torch, sys; before = set(sys.modules); import lowland; new = set(sys.modules) - before; "
        "print(*sorted(m for m in new if m.split('.')[0] in {'matplotlib', 'sklearn', 'scipy', 'pooch', 'jinja2'} "
        f"or m.startswith('lowland.') and m.split('.')[1] not in {EAGER}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@pytest.mark.parametrize("layer", ["energy", "inference", "objectives"])
def test_names_come_when_asked_for_and_all_of_them_do(layer):
    code = f"import lowland.{layer} as layer, sys; before = set(sys.modules); found = [getattr(layer, n) for n in layer.__all__]"
    code += f"; sys.exit(not (len(found) > 20 and any(m.startswith('lowland.{layer}.') for m in set(sys.modules) - before)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
