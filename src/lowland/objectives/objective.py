"""An objective says how training shapes an energy: what is pushed down, what is pushed up.

loss = objective(energy, batch)      loss.value is a scalar; loss.parts are named numbers for the log
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from ..energy import Energy
from ..errors import CheckpointError, StructureError, VariableError


class Loss(NamedTuple):
    """What an objective says of a batch.

    Attributes:
        value: Scalar, in units of energy unless the objective says otherwise; the thing to lower.
        parts: Named scalars that explain it, detached.
    """

    value: Tensor
    parts: dict[str, Tensor]


class Objective(ABC):
    """How to shape an energy. Objectives add and scale, as energies do."""

    #: What stops the energy from going flat, or why nothing does: one sentence, printed in the docs' table.
    no_collapse: str = ""
    #: What the checks try it on: "labels" (a classifier), "real" or "bits" (an energy of x alone), "pairs" (a distance between
    #: the embeddings of x and y), "restored" (how well y is predicted from x), "latent" (bits x of a hidden z, with a belief)
    #: "codes" (a vector-quantised auto-encoder), "sparse" (a sparse code of y with an encoder) or "sequences" (y, symbol by symbol).
    tried_on: ClassVar[str] = "labels"

    @classmethod
    def example(cls) -> Objective:
        """One with ordinary settings, for the conformance checks."""
        return cls()

    @abstractmethod
    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        """The loss of a batch of observed values, ``{variable: (N, *event)}``.

        Raises:
            VariableError: If the batch lacks a variable of the energy.
            StructureError: If the energy lacks structure that the objective needs.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it remembers from batch to batch (chains, queues), for a `Player`'s ``memory``."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what `state_dict` gave.

        Raises:
            CheckpointError: If it is the memory of another objective.
        """
        if state:
            raise CheckpointError(
                f"{type(self).__name__} remembers nothing, but was given {', '.join(state)}: it is another objective's."
            )

    def __add__(self, other: Objective) -> Objective:
        return SumObjective((self, 1.0), (other, 1.0)) if isinstance(other, Objective) else NotImplemented

    def __mul__(self, weight: float) -> Objective:
        return SumObjective((self, weight))

    __rmul__ = __mul__


class SumObjective(Objective):
    """Objectives with weights, added; made by ``+`` and ``*``.

    Args:
        *terms: Pairs of an objective and its weight.
    """

    @classmethod
    def example(cls) -> SumObjective:
        from .answers import Hinge, NegativeLogLikelihood

        return cls((NegativeLogLikelihood(), 0.5), (Hinge(), 2.0))

    def __init__(self, *terms: tuple[Objective, float]) -> None:
        self.terms: list[tuple[Objective, float]] = []
        for objective, weight in terms:
            inner = objective.terms if isinstance(objective, SumObjective) else [(objective, 1.0)]
            self.terms += [(part, weight * own) for part, own in inner]

    @property
    def no_collapse(self) -> str:  # type: ignore[override]
        return " ".join(objective.no_collapse for objective, _ in self.terms)

    def state_dict(self) -> dict[str, Any]:
        return {str(place): objective.state_dict() for place, (objective, _) in enumerate(self.terms)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for place, (objective, _) in enumerate(self.terms):
            objective.load_state_dict(state[str(place)])

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        value, parts = None, {}
        for objective, weight in self.terms:
            loss = objective(energy, batch)
            value = weight * loss.value if value is None else value + weight * loss.value
            for name, part in loss.parts.items():
                parts[name if name not in parts else f"{type(objective).__name__}.{name}"] = part
        if value is None:
            raise StructureError("SumObjective: wanted at least one objective, got none.")
        return Loss(value, parts)


def observed(energy: Energy, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a batch that the energy is about.

    Raises:
        VariableError: If a variable is missing from the batch.
        SpaceError: If a label or a path lies outside its space.
    """
    missing = energy.spaces.keys() - batch.keys()
    if missing:
        raise VariableError(
            f"{type(energy).__name__}: the batch has {', '.join(batch)} but not {', '.join(sorted(missing))}: "
            "add it to the data, or eliminate it first (minimize or marginalize)."
        )
    for name, space in energy.spaces.items():
        if space.kind == "int":
            space.check(batch[name], name)
    return {name: batch[name] for name in energy.spaces}


def alone(energy: Energy, batch: Mapping[str, Any], name: str) -> tuple[Energy, Tensor]:
    """An energy of one variable, what else the batch holds of it given, and the values of that variable.

    Raises:
        VariableError: If the batch lacks a variable of the energy.
        StructureError: If the energy has no such variable.
        SpaceError: If a value lies outside the variable's space.
    """
    values = observed(energy, batch)
    if name not in values:
        raise StructureError(f"{type(energy).__name__} has no variable {name}, only {', '.join(values)}: say name=….")
    value = energy.spaces[name].check(values.pop(name), name)
    return (energy.given(**values) if values else energy), value


def encoder(energy: Energy) -> nn.Module:
    """The part of an energy that is called ``encoder``: what makes a vector of an observation.

    Raises:
        StructureError: If no part of it, or several, are called so.
    """
    found = [part for path, part in energy.named_modules() if path.rpartition(".")[2] == "encoder"]
    if len(found) != 1:
        raise StructureError(
            f"{type(energy).__name__}: wanted one part called encoder, found {len(found)}: give the objective encoder=…."
        )
    return found[0]
