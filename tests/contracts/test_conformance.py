"""Every space, energy, solver and objective of the package, discovered, keeps its contract."""

import importlib
import inspect
import pkgutil

import pytest

import lowland
from lowland.contracts import check_energy, check_objective, check_solver, check_space
from lowland.energy import Energy
from lowland.inference import Solver
from lowland.objectives import Objective
from lowland.spaces import Space


def discovered(kind: type) -> list[type]:
    """Every concrete class of a kind in the package's modules."""
    found = set()
    for module in pkgutil.walk_packages(lowland.__path__, "lowland."):
        if module.name.startswith(("lowland.cli", "lowland.__main__")):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            public = (
                inspect.isclass(value) and issubclass(value, kind) and value is not kind and not name.startswith("_")
            )
            if public and value.__module__ == module.name and not inspect.isabstract(value):
                found.add(value)
    return sorted(found, key=lambda cls: cls.__qualname__)


def names(cls: type) -> str:
    return cls.__name__


@pytest.mark.parametrize("cls", discovered(Space), ids=names)
def test_every_space_keeps_its_contract(cls):
    check_space(cls.example())


@pytest.mark.parametrize("cls", discovered(Energy), ids=names)
def test_every_energy_keeps_its_contract(cls):
    check_energy(cls.example())


@pytest.mark.parametrize("cls", discovered(Solver), ids=names)
def test_every_solver_keeps_its_contract(cls):
    check_solver(cls.example())


@pytest.mark.parametrize("cls", discovered(Objective), ids=names)
def test_every_objective_keeps_its_contract(cls):
    check_objective(cls.example())
