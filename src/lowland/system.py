"""A system of the literature, as a record, and the register of all of them.

A file in `lowland.systems` ends with ``register(System(...))``. Everything that runs a system (the command line, the
tests, the ledger, `lowland.load`) reads this record and nothing else, so a system is: a configuration, how to build its
energy, its data, how to train it, how to judge it and what to draw.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn

from .errors import UsageError


@dataclass(frozen=True)
class Metric:
    """One figure that a system must report, and the threshold it must meet.

    Attributes:
        name: As in the ledger: lower case, spelt out, with the split where that is not the test split ("test_error").
        better: Which way is good.
        gate: What must be met; ``None`` for a figure that is only reported.
        gate_source: Where the gate comes from (paper and table, or "own").
        paper: The paper's own figure, if it has one.
        unit: What a value of 1 means: "%", "nats", "pixel²", "" for a plain number.
        about: One sentence: what was measured, on what.
        presets: Fields that differ in a preset, by its name: ``{"all_labels": {"gate": 0.8, "paper": 0.57}}``.
    """

    name: str
    better: Literal["lower", "higher"]
    gate: float | None = None
    gate_source: str = ""
    paper: float | None = None
    unit: str = ""
    about: str = ""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def under(self, preset: str) -> Metric:
        """The metric as a preset has it."""
        return replace(self, **self.presets.get(preset, {}))

    def met(self, value: float) -> bool | None:
        """Whether ``value`` meets the gate; ``None`` without a gate."""
        if self.gate is None:
            return None
        return value <= self.gate if self.better == "lower" else value >= self.gate


@dataclass(frozen=True)
class Data:
    """What a system learns from and is judged on: named tensors by split, and where they came from.

    Attributes:
        train: ``{variable: (N, *event)}``.
        validation: Held out of the training data for tuning; may be empty.
        test: The data set's own test split, looked at once, by `System.evaluate`.
        sources: ``{data set: {"split", "samples", "sha256": {file: checksum}}}``, copied to the ledger.
        labels: What the values of the finite variable ``y`` are called.
        extra: Whatever else the system's own functions need.
    """

    train: Mapping[str, Any]
    validation: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """One system of the gallery.

    Attributes:
        name: What the command line calls it; the file's name.
        title: A line for the gallery.
        rows: Rows of the reference list this system covers ("R03").
        paper: Author and year of the source.
        config: A dataclass; its field docstrings are the command line's help, its defaults are the ``cpu`` preset.
        presets: Field values that differ from the defaults: ``smoke`` (≤ 10 s, generated or embedded data) is required.
        build: ``build(config) → module``: an `Energy`, or a ``ModuleDict`` of energies when a system compares several.
        data: ``data(config) → Data``.
        settle: ``settle(config) → config``: what a user's own data decide, the size of a state, say, is written into the configuration
            before anything is built, so that a run can be loaded where its data are not; absent if nothing does.
        train: ``train(model, config, data, trainer)``; every change of the model happens in ``trainer.fit`` or ``trainer.once``.
        evaluate: ``evaluate(model, config, data) → {metric: value}``; the only reader of ``data.test``.
        figures: ``figures(model, config, data) → pictures`` for the report, the best first.
        metrics: The figures that ``evaluate`` reports, gates included.
        main: Which energy of a ``ModuleDict`` answers when none is named.
        observed: The variable that a user's file becomes.
        unknown: The variable that ``infer`` looks for by default.
        embed: ``embed(energy, values) → (N, D)``: a vector for each input; absent if the system has none.
        read: ``read(paths, config) → {variable: tensor}`` for inputs that the general reader can't turn into ``observed``.
        lines: ``lines(energy, texts) → {variable: tensor}``: for a system that reads text, a sample for each line; ``lowland infer``
            then prints what `tell` says of each, and nothing else.
        solver: ``solver(module, config) → Solver``: how ``unknown`` is looked for; without it by what fits the energy.
        fill: ``fill(energy, config, known, count, generator) → (N, count, *event)``: the best value of ``observed`` given a
            `Partial` of it, other variables, or both; several different ones for ``count > 1``. Without it they are searched for.
        tell: ``tell(energy, values, solution) → one text a sample``; the default prints the label or the numbers.
        agent: ``agent(module, config, environment, policy) → who acts in the environment of that id``, by planning or with the policy
            (`lowland.environments.Agent`); absent if the system does not act.
        surroundings: ``surroundings(config, environment, chosen) → options`` for `lowland.environments.make`: where that environment takes
            place (in the part of a user's recordings that was kept for judging, say), beside what the user has chosen himself; absent
            if it needs none.
        draw: ``draw(energy, values, solution) → one figure a sample``, the answer drawn on the input; without it nothing is drawn.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    paper: str
    config: type
    presets: Mapping[str, Mapping[str, Any]]
    build: Callable[[Any], nn.Module]
    data: Callable[[Any], Data]
    train: Callable[[Any, Any, Data, Any], None]
    evaluate: Callable[[Any, Any, Data], Mapping[str, float]]
    figures: Callable[[Any, Any, Data], Iterable[Any]]
    metrics: tuple[Metric, ...]
    main: str | None = None
    observed: str = "x"
    unknown: str | None = "y"
    embed: Callable[[Any, Mapping[str, Tensor]], Tensor] | None = None
    read: Callable[[list[str], Any], Mapping[str, Tensor]] | None = None
    lines: Callable[[Any, list[str]], Mapping[str, Tensor]] | None = None
    solver: Callable[[Any, Any], Any] | None = None
    fill: Callable[[Any, Any, Mapping[str, Any], int, Any], Tensor] | None = None
    tell: Callable[[Any, Mapping[str, Tensor], Any], list[str]] | None = None
    draw: Callable[[Any, Mapping[str, Tensor], Any], list[Any]] | None = None
    settle: Callable[[Any], Any] | None = None
    agent: Callable[[Any, Any, str, bool], Any] | None = None
    surroundings: Callable[[Any, str, Mapping[str, Any]], Mapping[str, Any]] | None = None
    module: str = ""

    @property
    def area(self) -> str:
        """The folder of the gallery it lies in ("perception")."""
        return self.module.split(".")[-2]

    def metrics_under(self, preset: str) -> tuple[Metric, ...]:
        """The metrics with the gates and the published figures of a preset."""
        return tuple(metric.under(preset) for metric in self.metrics)

    def settled(self, config: Any) -> Any:
        """A configuration in which what the data decide is decided."""
        return config if self.settle is None else self.settle(config)

    def configure(self, preset: str = "cpu", **changes: Any) -> Any:
        """The configuration of a preset with some fields changed.

        Raises:
            UsageError: For a preset this system does not have, or a field its configuration does not have.
        """
        if preset != "cpu" and preset not in self.presets:
            known = ", ".join(["cpu", *(name for name in self.presets if name != "cpu")])
            raise UsageError(f"{self.name}: wanted a preset among {known}, got {preset!r}.")
        values = {**self.presets.get(preset, {}), **changes}
        unknown = values.keys() - self.config.__dataclass_fields__.keys()
        if unknown:
            known = ", ".join(self.config.__dataclass_fields__)
            raise UsageError(f"{self.name}: no option called {', '.join(sorted(unknown))}; it has {known}.")
        return self.config(**values)


_register: dict[str, System] = {}


def register(system: System) -> System:
    """Put a system on the list; called once, at the end of its file.

    Raises:
        UsageError: If another file has registered the name.
    """
    module = system.build.__module__
    known = _register.get(system.name)
    if known is not None and known.module != module:
        raise UsageError(f"Two systems are called {system.name!r}: {known.module} and {module}.")
    _register[system.name] = system = System(**{**vars(system), "module": module})
    return system


def systems() -> dict[str, System]:
    """Every system of the gallery by name, found by importing `lowland.systems`."""
    package = importlib.import_module("lowland.systems")
    for found in pkgutil.walk_packages(package.__path__, "lowland.systems."):
        importlib.import_module(found.name)
    return dict(sorted(_register.items()))


def find(name: str) -> System:
    """The system called ``name``; imports its file alone.

    Raises:
        UsageError: With the names there are, if there is no such system.
    """
    package = importlib.import_module("lowland.systems")
    names = {}
    for found in pkgutil.walk_packages(package.__path__, "lowland.systems."):
        names[found.name.rpartition(".")[2]] = found.name
    if name not in _register and name in names:
        importlib.import_module(names[name])
    if name not in _register:
        raise UsageError(f"No system is called {name!r}; there are {', '.join(sorted(systems()))}.")
    return _register[name]
