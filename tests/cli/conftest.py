"""A small system in the gallery for as long as a test runs, also in processes of its own."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lowland.system
from lowland.system import System

FILE = Path(__file__).parents[1] / "train" / "logistic_digits.py"


@pytest.fixture
def system() -> Iterator[System]:
    """Logistic regression on digits."""
    name = "tests_logistic_digits"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FILE)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    yield lowland.system.register(sys.modules[name].SYSTEM)
    del lowland.system._register["logistic_digits"]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    """Begins ``lowland …`` in a process of its own, with the small system in the gallery, in the test's folder."""

    def start(*words: str) -> subprocess.Popen:
        path = os.pathsep.join([str(Path(lowland.system.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, str(FILE), *words],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
