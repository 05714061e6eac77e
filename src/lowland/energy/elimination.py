"""Eliminating a variable: minimise it out or marginalise it out, and an energy of the others is left.

    F(x, y) = min_z E(x, y, z)          F_β(x, y) = −1/β log ∫ exp(−β E(x, y, z)) dz

A finite variable is eliminated exactly from its table, a quadratic one in closed form; any other needs a search, which
the inference layer provides through `set_search` (imports point down, so this layer only keeps its place).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..errors import StructureError
from ..spaces import Real
from .energy import Energy, QuadraticForm
from .network import NetworkTable
from .reduction import FreeEnergy, Min, Reduction
from .structure import Bound, Structure
from .variational import Relaxation


@runtime_checkable
class Search(Protocol):
    """Finds the minimiser of an energy of one variable, with gradients as asked for; ``known`` is what it was given."""

    def __call__(
        self, energy: Energy, solver: Any, differentiate: str, options: Mapping[str, Any], known: Mapping[str, Any]
    ) -> Tensor: ...


_search: list[Search] = []


def set_search(search: Search) -> None:
    """Say how a minimiser is searched for where no closed form is known."""
    _search[:] = [search]


class Eliminated(Energy):
    """An energy with one variable minimised or marginalised out; made by `Energy.minimize` and `Energy.marginalize`.

    Args:
        energy: The energy.
        name: The variable that goes.
        reduction: `Min` or `FreeEnergy`.
        solver: A search for variables that are neither finite nor quadratic, or instead of the closed form.
        differentiate: "envelope", "unroll" or "implicit": see `lowland.inference.adjoint`.
        options: For the search: ``steps``, ``tol``, …

    Raises:
        VariableError: If the energy has no such variable.
        StructureError: If the way to differentiate is unknown.
    """

    @classmethod
    def example(cls) -> Eliminated:
        return NetworkTable.example().marginalize("y", beta=2.0)

    def __init__(
        self,
        energy: Energy,
        name: str,
        reduction: Reduction,
        solver: Any,
        differentiate: str,
        options: Mapping[str, Any],
    ) -> None:
        energy.known({name})
        if differentiate not in ("envelope", "unroll", "implicit"):
            raise StructureError(
                f'minimize: wanted differentiate="envelope", "unroll" or "implicit", got {differentiate!r}.'
            )
        super().__init__(**{other: space for other, space in energy.spaces.items() if other != name})
        self.energy = energy
        self.hard = energy.hard
        self.name = name
        self.reduction = reduction
        self.solver = solver
        self.differentiate = differentiate
        self.options = dict(options)

    @property
    def exact(self) -> bool:
        """Whether the variable is eliminated from its table."""
        return self.solver is None and self.energy.spaces[self.name].size is not None

    def _with(self, energy: Energy) -> Eliminated:
        return Eliminated(energy, self.name, self.reduction, self.solver, self.differentiate, self.options)

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        if self.exact:
            return self.reduction(self.energy.table(self.name, **values))
        if (found := self._paths(values)) is not None:
            structure, batch = found
            return structure.reduce(self.reduction).reshape(batch)
        energy = self.energy.given(**values) if values else self.energy
        if self.solver is None and type(energy.space) is Real and (form := energy.quadratic_form()) is not None:
            return _quadratic(form, self.reduction)
        if (relaxed := self._relaxed(energy)) is not None:
            return relaxed.value(self._search(relaxed, values))
        return energy.value(self._minimiser(energy, values))

    def _paths(self, values: Mapping[str, Any]) -> tuple[Structure, torch.Size] | None:
        """The structure over the variable, if it is one that is summed over by a recursion."""
        return None if self.solver is not None else self.energy.structure(self.name, **values)

    def structure(
        self, *names: str, other_than: Tensor | None = None, **rest: Any
    ) -> tuple[Structure, torch.Size] | None:
        if self.exact and len(names) == 1 and self.spaces[names[0]].size is not None:
            return super().structure(*names, other_than=other_than, **rest)
        if self.solver is not None:
            return None
        found = self.energy.structure(*names, self.name, other_than=other_than, **rest)
        return found and (Bound(found[0], self.reduction), found[1])

    def _minimiser(self, energy: Energy, known: Mapping[str, Any]) -> Tensor:
        if not isinstance(self.reduction, Min):
            raise StructureError(
                f"marginalize: {type(self.energy).__name__} is not quadratic in {self.name}, in {self.energy.spaces[self.name]!r}, "
                "so its integral has no closed form: minimize it, or draw samples (Langevin, HMC)."
            )
        return self._search(energy, known)

    def _search(self, energy: Energy, known: Mapping[str, Any]) -> Tensor:
        if not _search:
            raise StructureError(
                f"minimize: {self.name} of {type(self.energy).__name__} has to be searched for; import lowland.inference, which does."
            )
        return _search[0](energy, self.solver, self.differentiate, self.options, known)

    def _relaxed(self, energy: Energy) -> Relaxation | None:
        """The free energy of beliefs that the solver looks over in place of the energy, if it is one of those."""
        return None if self.solver is None else self.solver.relax(energy, self.reduction)

    def answer(self, **values: Any) -> Tensor:
        """What the eliminated variable is, given the others, read off the gradient.

        Returns:
            For a finite variable the gradient of the reduced energy ``(*batch, K)``: one-hot argmin, posterior, or draw;
            for a path that with respect to the energies of its arcs, in their shape;
            for an image of labels the beliefs that its solver arrives at;
            for a continuous one the minimiser ``(*batch, *event)`` (also the posterior's mean, where it is quadratic).
        """
        if self.exact:
            return self.reduction.answer(self.energy.table(self.name, **values))
        if (found := self._paths(values)) is not None:
            structure, batch = found
            return structure.share(self.reduction)[1].unflatten(0, batch)
        energy = self.energy.given(**values) if values else self.energy
        if (relaxed := self._relaxed(energy)) is not None:
            return relaxed.beliefs(self._search(relaxed, values))
        if self.solver is None and type(energy.space) is Real and (form := energy.quadratic_form()) is not None:
            return _solve(form)[0].reshape(*form.linear.shape[:-1], *energy.space.shape)
        return self._minimiser(energy, values)

    def given(self, **observed: Any) -> Energy:
        self.known(observed)
        return self._with(self.energy.given(**observed)) if observed else self

    @property
    def batch_shape(self) -> torch.Size:
        return self.energy.batch_shape

    @property
    def reference(self) -> Tensor | None:
        return self.energy.reference

    def guess(self, name: str) -> Tensor | None:
        return self.energy.guess(name)

    def select(self, rows: Tensor) -> Energy:
        return self._with(self.energy.select(rows))

    def table(self, *names: str, **rest: Any) -> Tensor:
        if not self.exact:
            return super().table(*names, **rest)
        if {*names, *rest} != self.spaces.keys():
            raise self._wrong_names({*names, *rest})
        return self.reduction(self.energy.table(*names, self.name, **rest))


def _solve(form: QuadraticForm) -> tuple[Tensor, Tensor]:
    """The minimiser G⁻¹b ``(*B, K)`` and the Cholesky factor of G; a G that is not positive definite is refused."""
    factor, failed = torch.linalg.cholesky_ex(form.gram)
    if bool(failed.any()):
        raise StructureError(
            "The quadratic has no single lowest point: its Gram matrix is not positive definite. Add a regulariser (L2) on the variable."
        )
    return torch.cholesky_solve(form.linear.unsqueeze(-1), factor).squeeze(-1), factor


def _quadratic(form: QuadraticForm, reduction: Reduction) -> Tensor:
    minimiser, factor = _solve(form)
    lowest = form.constant - 0.5 * (form.linear * minimiser).sum(-1)
    if isinstance(reduction, FreeEnergy):
        beta = reduction.beta
        log_beta = beta.log() if isinstance(beta, Tensor) else math.log(beta)
        half_log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        volume = 0.5 * form.linear.shape[-1] * (math.log(2 * math.pi) - log_beta) - half_log_det
        return lowest - volume / beta
    return lowest
