"""Energies from energies: fix variables, add, scale. Structure is kept, so that a solver can still see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpaceError, StructureError, VariableError
from ..spaces import Real, Space
from .energy import Energy, QuadraticForm, broadcast_shapes
from .quadratic import Quadratic
from .reconstruction import LinearReconstruction
from .regularizer import L1
from .structure import Structure


class Conditioned(Energy):
    """An energy with some variables fixed; made by `Energy.given`.

    Args:
        energy: The energy.
        observed: Values of some of its variables, each ``(*B, *event)``.
    """

    @classmethod
    def example(cls) -> Energy:
        return Quadratic.example().given(linear=torch.ones(3), constant=torch.zeros(()))

    def __init__(self, energy: Energy, observed: Mapping[str, Any]) -> None:
        super().__init__(**{name: space for name, space in energy.spaces.items() if name not in observed})
        self.energy = energy
        self.hard = energy.hard
        self.observed = dict(observed)
        shapes = {name: energy.spaces[name].batch_shape(value, name) for name, value in observed.items()}
        self._batch_shape = broadcast_shapes(shapes)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Conditioned:
        """What is observed moves with the module (``.to``, ``.double`` …)."""
        super()._apply(fn, recurse)
        self.observed = {
            name: fn(value) if isinstance(value, Tensor) else value for name, value in self.observed.items()
        }
        return self

    @property
    def batch_shape(self) -> torch.Size:
        return self._batch_shape

    @property
    def reference(self) -> Tensor | None:
        floats = (value for value in self.observed.values() if isinstance(value, Tensor) and value.is_floating_point())
        return next(floats, self.energy.reference)

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        return self.energy(**self.observed, **values)

    def given(self, **observed: Any) -> Energy:
        self.known(observed)
        return self.energy.given(**self.observed, **observed) if observed else self

    def select(self, rows: Tensor) -> Energy:
        if len(self.batch_shape) != 1:
            raise SpaceError(f"select: wanted one batch dimension in what is given, got {tuple(self.batch_shape)}.")
        kept = {}
        for name, value in self.observed.items():
            whole = self.energy.spaces[name].batch_shape(value, name) == self.batch_shape
            kept[name] = value[rows] if whole else value
        return Conditioned(self.energy, kept)

    def table(self, *names: str, **rest: Any) -> Tensor:
        return self.energy.table(*names, **self.observed, **rest)

    def structure(
        self, *names: str, other_than: Tensor | None = None, **rest: Any
    ) -> tuple[Structure, torch.Size] | None:
        return self.energy.structure(*names, other_than=other_than, **self.observed, **rest)

    @property
    def smooth(self) -> bool:
        return not self.spaces or self.energy.smooth

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        return self.energy.value_and_gradient(value, name or self.variable, **self.observed, **rest)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        return self.energy.quadratic_form(name or self.variable, **self.observed, **rest)


class Sum(Energy):
    """Energies add. The sum is an energy of all their variables and keeps its terms.

    Args:
        *terms: Energies; a variable that several share must range over the same space in each.

    Raises:
        VariableError: If two terms disagree on a variable's space.
    """

    terms: list[Energy]

    @classmethod
    def example(cls) -> Sum:
        return cls(LinearReconstruction.example(), L1(Real(3), 0.3))

    def __init__(self, *terms: Energy) -> None:
        flat = [part for term in terms for part in (term.terms if isinstance(term, Sum) else [term])]
        spaces: dict[str, Space] = {}
        for term in flat:
            for name, space in term.spaces.items():
                if spaces.setdefault(name, space) != space:
                    raise VariableError(
                        f"Sum: {name} ranges over {spaces[name]!r} in one term and over {space!r} in {type(term).__name__}."
                    )
        super().__init__(**spaces)
        self.terms = nn.ModuleList(flat)  # type: ignore[assignment]

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        return _total(term(**{name: values[name] for name in term.spaces}) for term in self.terms)

    def given(self, **observed: Any) -> Energy:
        self.known(observed)
        return Sum(*[_given(term, observed) for term in self.terms]) if observed else self

    @property
    def batch_shape(self) -> torch.Size:
        return broadcast_shapes({str(i): term.batch_shape for i, term in enumerate(self.terms)})

    @property
    def reference(self) -> Tensor | None:
        return next((found for term in self.terms if (found := term.reference) is not None), None)

    def select(self, rows: Tensor) -> Energy:
        return Sum(*[term.select(rows) if term.batch_shape else term for term in self.terms])

    def table(self, *names: str, **rest: Any) -> Tensor:
        if {*names, *rest} != self.spaces.keys():
            raise self._wrong_names({*names, *rest})
        return _total(self._column(term, names, rest) for term in self.terms)

    @staticmethod
    def _column(term: Energy, names: tuple[str, ...], rest: dict[str, Any]) -> Tensor:
        """A term's table, with a dimension of length 1 for each variable that it does not have."""
        own = [name for name in names if name in term.spaces]
        part = term.table(*own, **{name: value for name, value in rest.items() if name in term.spaces})
        for position, name in enumerate(names):
            if name not in own:
                part = part.unsqueeze(part.ndim - (len(names) - position) + 1)
        return part

    @property
    def smooth(self) -> bool:
        return all(term.smooth for term in self.terms)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        if rest:
            return self.given(**rest).value_and_gradient(value, name)
        name = name or self.variable
        pairs = [term.value_and_gradient(value, name) for term in self.terms if name in term.spaces]
        constants = [term() for term in self.terms if name not in term.spaces]
        return _total([energies for energies, _ in pairs] + constants), _total(slope for _, slope in pairs)

    def composite(self) -> tuple[Energy, Energy | None]:
        rough = [term for term in self.terms if not term.smooth]
        if not rough:
            return self, None
        if len(rough) > 1:
            names = ", ".join(type(term).__name__ for term in rough)
            raise StructureError(f"Sum: a proximal step needs a single term with a kink, got {len(rough)}: {names}.")
        left, kink = rough[0].composite()
        smooth = [term.composite()[0] for term in self.terms if term is not rough[0]]
        return (Sum(*smooth) if smooth else left), kink

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        if len(self.terms) == 1:
            return self.terms[0].prox(value, step)
        return super().prox(value, step)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        if rest:
            return self.given(**rest).quadratic_form(name)
        name = name or self.variable
        total: QuadraticForm | None = None
        constant: Tensor | float = 0.0
        for term in self.terms:
            if name not in term.spaces:
                constant = constant + term()
                continue
            form = term.quadratic_form(name)
            if form is None:
                return None
            total = form if total is None else QuadraticForm(*(a + b for a, b in zip(total, form, strict=True)))
        return total and total._replace(constant=total.constant + constant)


class Scaled(Energy):
    """A weight times an energy.

    Args:
        energy: The energy.
        weight: A number or a tensor of one element (a parameter, if it is to be learnt); at least 0 for a term with a
            proximal step.
    """

    @classmethod
    def example(cls) -> Scaled:
        return cls(LinearReconstruction.example(), 0.5)

    def __init__(self, energy: Energy, weight: float | Tensor) -> None:
        super().__init__(**energy.spaces)
        self.energy = energy
        self.weight = weight

    def forward(self, **values: Any) -> Tensor:
        return self.weight * self.energy(**values)

    def given(self, **observed: Any) -> Energy:
        return Scaled(self.energy.given(**observed), self.weight)

    @property
    def batch_shape(self) -> torch.Size:
        return self.energy.batch_shape

    @property
    def reference(self) -> Tensor | None:
        return self.energy.reference

    def select(self, rows: Tensor) -> Energy:
        return Scaled(self.energy.select(rows), self.weight)

    def table(self, *names: str, **rest: Any) -> Tensor:
        return self.weight * self.energy.table(*names, **rest)

    @property
    def smooth(self) -> bool:
        return self.energy.smooth or (isinstance(self.weight, float) and self.weight == 0)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        energies, slope = self.energy.value_and_gradient(value, name, **rest)
        return self.weight * energies, self.weight * slope

    def composite(self) -> tuple[Energy, Energy | None]:
        smooth, rough = self.energy.composite()
        return self.weight * smooth, None if rough is None else self.weight * rough

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        return self.energy.prox(value, step * self.weight)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        form = self.energy.quadratic_form(name, **rest)
        return form and QuadraticForm(*(self.weight * part for part in form))


def _total(parts: Iterable[Tensor]) -> Tensor:
    return reduce(add, parts)


def _given(term: Energy, observed: Mapping[str, Any]) -> Energy:
    own = {name: value for name, value in observed.items() if name in term.spaces}
    return term.given(**own) if own else term
