"""A system that nobody has to train, with a docstring like those of the gallery."""

import sys
import types
from dataclasses import dataclass

import pytest

from lowland import system as register_module
from lowland.system import Metric, System, register

DOCSTRING = """Bowls, and what lies in them.

    E(x, z) = ½ ‖x − W_z‖²,  z in {1 … K}
    F(x)    = min_z E(x, z)

Each bowl is low around its centre; `minimize` keeps *the nearest*, a < b * c.

Training: lower the mean of F over the data;
nothing pushes up (strategy A1).
No collapse: the bowls' width is fixed.
Sources: Lloyd, IEEE Trans. IT 28 (1982).
Expect: inertia 1.0.
Known failure: none * known.

Differences from the paper:
1. There is no paper.
2. There are
   two differences.
"""


@dataclass
class Config:
    """
    Attributes:
        bowls: How many.
        rate: How fast.
    """

    bowls: int = 3
    rate: float = 0.5


@pytest.fixture
def bowls():
    """A registered system, gone again after the test."""
    module = types.ModuleType("lowland.systems.valleys.bowls", DOCSTRING)
    sys.modules[module.__name__] = module

    def build(config):
        raise NotImplementedError

    def nothing(*_):
        return {}

    build.__module__ = module.__name__
    yield register(
        System(
            name="bowls",
            title="Bowls in a valley",
            rows=("R99",),
            paper="Nobody (1999)",
            config=Config,
            presets={"smoke": {"bowls": 2}},
            build=build,
            data=nothing,
            train=nothing,
            evaluate=nothing,
            figures=nothing,
            metrics=(
                Metric("test_error", "lower", gate=3.0, gate_source="own", unit="%", about="on the test split"),
                Metric("accuracy", "higher", gate=0.9, paper=0.95),
                Metric("spread", "higher"),
            ),
        )
    )
    del sys.modules[module.__name__]
    del register_module._register["bowls"]


@pytest.fixture
def result():
    """What a run of ``bowls`` writes to ``result.json``: one gate met, one not."""
    values = {"test_error": 2.5, "accuracy": 0.8, "spread": 0.125}
    return {
        "system": "bowls",
        "preset": "cpu",
        "seed": 4,
        "seconds": 75.2,
        "device": "CPU, 2 cores",
        "versions": {"torch": "2.13.0"},
        "config": {"bowls": 5, "rate": 0.5},
        "data": {"digits": {"split": "80/20", "samples": 1797, "sha256": {"digits.csv.gz": "09f66e"}}},
        "metrics": [{"name": name, "value": value} for name, value in values.items()],
    }
