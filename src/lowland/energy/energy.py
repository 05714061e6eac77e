"""The one rule: an energy is a function of named variables that gives one number per sample, low where they agree.

    E(x, y, z) ∈ ℝ,   F(x, y) = min_z E,   F_β(x, y) = −1/β log Σ_z exp(−β E)

Source: LeCun, Chopra, Hadsell, Ranzato & Huang, A Tutorial on Energy-Based Learning (2006), sections 1–2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import SpaceError, StructureError, VariableError
from ..spaces import Space
from .structure import Structure, Table

if TYPE_CHECKING:
    from .algebra import Scaled, Sum
    from .elimination import Eliminated


class QuadraticForm(NamedTuple):
    """½ vᵀ gram v − linearᵀ v + constant, in a variable flattened to length K."""

    gram: Tensor  # (K, K) shared by all samples, or (*B, K, K)
    linear: Tensor  # (*B, K)
    constant: Tensor  # (*B)


class Energy(nn.Module):
    """A function of named variables, one number per sample, low where they agree.

    An author gives the spaces to ``__init__`` and writes `energies` for one flat batch dimension; everything else
    follows. Overriding `given` saves work, overriding `table`, `gradient`, `prox` or `quadratic_form` tells solvers
    about structure that autograd can't see.

    Args:
        **spaces: What each variable of one sample ranges over.

    Attributes:
        spaces: The same, by name.
    """

    #: Set by an author whose `energies` takes any number of leading batch dimensions, broadcast against each other:
    #: the call then expands and copies nothing.
    broadcasts: ClassVar[bool] = False
    #: Set where some points of the spaces are forbidden: their energy is +∞.
    hard: bool = False

    def __init__(self, **spaces: Space) -> None:
        super().__init__()
        self.spaces: dict[str, Space] = spaces

    @classmethod
    def example(cls) -> Energy:
        """A small one, for the conformance checks; needed where the constructor has arguments without defaults."""
        return cls()

    def example_values(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        """Values to try it at: random points of the spaces. To be overridden where those are opaque, or mostly forbidden."""
        return {name: space.initial((count,), generator=generator) for name, space in self.spaces.items()}

    def energies(self, **values: Any) -> Tensor:
        """The energy of each sample: ``(N, *event)`` for each variable → ``(N,)``."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say its energies: write `energies(self, {', '.join(self.spaces)})`."
        )

    def forward(self, **values: Any) -> Tensor:
        """The energy of each sample, after broadcasting the leading batch dimensions of the values.

        Returns:
            ``(*batch)``, where ``batch`` is what the batch shapes of the values broadcast to.

        Raises:
            VariableError: If a name is unknown or missing.
            SpaceError: If a value has the wrong shape or dtype, or the batch shapes don't agree.
        """
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        batch, same = None, True
        for name, value in values.items():
            shape = self.spaces[name].batch_shape(value, name)
            if batch is None:
                batch = shape
            elif shape != batch:
                same = False
        if batch is None or self.broadcasts or (same and len(batch) == 1):
            return self.energies(**values)
        return self._broadcast(values)

    def _broadcast(self, values: Mapping[str, Any]) -> Tensor:
        shapes = {name: self.spaces[name].batch_shape(value, name) for name, value in values.items()}
        batch = broadcast_shapes(shapes)
        flat = {}
        for name, value in values.items():
            if self.spaces[name].kind == "opaque":
                if shapes[name] != batch:
                    raise SpaceError(
                        f"{name}: an opaque value can't be broadcast from {tuple(shapes[name])} to {tuple(batch)}."
                    )
                flat[name] = value
            else:
                event = self.spaces[name].shape
                flat[name] = value.expand((*batch, *event)).reshape(batch.numel(), *event)
        return self.energies(**flat).reshape(batch)

    def _wrong_names(self, got: Any, needed: Any = None) -> VariableError:
        needed = self.spaces if needed is None else needed
        unknown, missing = sorted(got - self.spaces.keys()), sorted(set(needed) - set(got))
        wrong = "; ".join(
            f"{what} {', '.join(names)}" for what, names in (("unknown:", unknown), ("missing:", missing)) if names
        )
        return VariableError(
            f"{type(self).__name__} is an energy of {', '.join(self.spaces) or 'no variable'}; {wrong}."
        )

    def known(self, names: Any) -> None:
        """Nothing, if every name is one of this energy's variables.

        Raises:
            VariableError: With the names there are.
        """
        if set(names) - self.spaces.keys():
            raise self._wrong_names(set(names), ())

    # --- fixing what is known -------------------------------------------------------------------------------------

    def given(self, **observed: Any) -> Energy:
        """The same energy with some variables fixed: an energy of those that are left.

        This is where work is saved: an energy whose cost is in understanding ``x`` overrides it to do that once, and
        returns another energy conditioned on what it found. A value may be a `Partial`, known only in places: its
        variable stays, and only its unknown entries may move.

        Raises:
            VariableError: If a name is unknown.
            SpaceError: If a value has the wrong shape or dtype.
        """
        from .algebra import Conditioned
        from .partial import Completed, Partial

        self.known(observed)
        partial = {name: value for name, value in observed.items() if isinstance(value, Partial)}
        whole = {name: value for name, value in observed.items() if name not in partial}
        energy = self if not whole else Conditioned(self, whole) if not partial else self.given(**whole)
        for name, value in partial.items():
            energy = Completed(energy, name, value)
        return energy

    @property
    def batch_shape(self) -> torch.Size:
        """The batch shape of what is already fixed; ``()`` when nothing is."""
        return torch.Size()

    def select(self, rows: Tensor) -> Energy:
        """The same energy for some samples only: ``rows (M,)`` indexes the one batch dimension of what is fixed."""
        return self

    # --- energies of one variable: what a solver sees ---------------------------------------------------------------

    @property
    def variable(self) -> str:
        """The name of the only variable.

        Raises:
            VariableError: If there is not exactly one.
        """
        if len(self.spaces) != 1:
            raise VariableError(
                f"A solver looks over one variable, but this {type(self).__name__} has {', '.join(self.spaces) or 'none'}: "
                "fix the others with `given` or eliminate them with `minimize` or `marginalize`."
            )
        return next(iter(self.spaces))

    @property
    def space(self) -> Space:
        """The space of the only variable."""
        return self.spaces[self.variable]

    def guess(self, name: str) -> Tensor | None:
        """Where a search over a variable may well begin, ``(*B, *event)``; ``None`` if the energy knows no such place."""
        return None

    def value(self, value: Any) -> Tensor:
        """The energy at a value of the only variable."""
        return self(**{self.variable: value})

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        """Energy ``(*B)`` and slope ``(*B, *event)`` at a value of one variable, the others given as ``rest``.

        An energy that knows its slope in closed form overrides this. Both results carry a graph exactly when gradients
        are enabled around the call, so that a solver can be unrolled.

        Args:
            value: ``(*B, *event)`` with the full batch shape: one row for each sample.
            name: Which variable; the only one by default.
        """
        name = name or self.variable
        unroll = torch.is_grad_enabled()
        with torch.enable_grad():
            point = value if unroll and value.requires_grad else value.detach().requires_grad_()
            energies = self(**{name: point}, **rest)
            if not energies.requires_grad:
                return energies, torch.zeros_like(value)
            ones = torch.ones_like(energies)  # their sum has a slope of stride 0, which products copy
            (slope,) = torch.autograd.grad(energies, point, ones, create_graph=unroll, materialize_grads=True)
        return (energies, slope) if unroll else (energies.detach(), slope)

    # --- structure ------------------------------------------------------------------------------------------------

    def gradient(self, name: str, **values: Any) -> Tensor:
        """dE/d(name) at the values: ``(*batch, *event)``.

        Raises:
            StructureError: If the variable is not continuous.
        """
        self.known({name})
        if self.spaces[name].kind != "float":
            raise StructureError(
                f"gradient: {name} ranges over {self.spaces[name]!r}, which has no slope; use `table`."
            )
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        shapes = {other: self.spaces[other].batch_shape(value, other) for other, value in values.items()}
        batch = broadcast_shapes({"what is given": self.batch_shape, **shapes})
        value = values.pop(name).expand((*batch, *self.spaces[name].shape))
        return self.value_and_gradient(value, name, **values)[1]

    def table(self, *names: str, **rest: Any) -> Tensor:
        """The energy of every value of one or several finite variables: ``(*batch, K₁, K₂, …)``.

        Values are in the order of ``space.enumerate()``. The default calls the energy once with all of them; an
        energy that knows better (a network with one output per label) overrides it.

        Raises:
            StructureError: If a space is not finite.
            VariableError: If a variable is neither in the table nor given.
        """
        if {*names, *rest} != self.spaces.keys():
            raise self._wrong_names({*names, *rest})
        columns = {}
        reference = next(
            (value for value in rest.values() if isinstance(value, Tensor) and value.is_floating_point()),
            self.reference,
        )
        for position, name in enumerate(names):
            every = self.spaces[name].enumerate(device=self.device if reference is None else reference.device)
            if every.is_floating_point() and reference is not None:
                every = every.to(reference.dtype)
            ones = [1] * len(names)
            ones[position] = len(every)
            columns[name] = every.reshape(*ones, *self.spaces[name].shape)
        for name, value in rest.items():
            event = self.spaces[name].shape
            batch = self.spaces[name].batch_shape(value, name)
            if self.spaces[name].kind == "opaque":
                raise StructureError(
                    f"table: {name} is opaque ({self.spaces[name]!r}) and can't be repeated for each value of {', '.join(names)}: "
                    f"override `table` in {type(self).__name__}."
                )
            columns[name] = value.reshape(*batch, *[1] * len(names), *event)
        return self(**columns)

    @property
    def smooth(self) -> bool:
        """Whether the energy has a slope everywhere; a regulariser with a kink says no and offers `prox`."""
        return True

    def prox(self, value: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u  ½‖u − value‖² + step · E(u), for an energy of one variable.

        Args:
            value: ``(*B, *event)``.
            step: ≥ 0, a number or a tensor that broadcasts against ``value``; units of value² per unit of energy.

        Raises:
            StructureError: If no closed form is known.
        """
        raise StructureError(
            f"{type(self).__name__} has no proximal step: use a regulariser that has one (L1, L2, GroupL2) or a solver for smooth energies."
        )

    def composite(self) -> tuple[Energy, Energy | None]:
        """The smooth part, and the part with a kink and a proximal step or ``None``; their sum is this energy."""
        return (self, None) if self.smooth else (0.0 * self, self)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        """Gram matrix, linear and constant term if this is a quadratic of one variable, else ``None``."""
        return None

    def structure(
        self, *names: str, other_than: Tensor | None = None, **rest: Any
    ) -> tuple[Structure, torch.Size] | None:
        """What can be reduced exactly over some variables, given all the others, or `None` if nothing can.

        Args:
            *names: The variables to reduce over.
            other_than: A value of the first of them to leave out: what remains are the wrong answers.
            **rest: The other variables.

        Returns:
            The structure, over one flat batch dimension, and the batch shape that it stands for.
        """
        if {*names, *rest} != self.spaces.keys():
            raise self._wrong_names({*names, *rest})
        values = rest if other_than is None else {**rest, names[0]: other_than}
        shapes = {name: self.spaces[name].batch_shape(value, name) for name, value in values.items()}
        batch = broadcast_shapes(shapes)
        flat = {}
        for name, value in values.items():
            event = self.spaces[name].shape
            same = self.spaces[name].kind == "opaque" or (shapes[name] == batch and len(batch) == 1)
            flat[name] = value if same else value.expand((*batch, *event)).reshape(batch.numel(), *event)
        if other_than is not None:
            other_than = flat.pop(names[0])
        found = self.recursion(*names, other_than=other_than, **flat)
        return found and (found, batch)

    def recursion(self, *names: str, other_than: Tensor | None = None, **rest: Any) -> Structure | None:
        """The structure over some variables for one flat batch; an energy of paths overrides it. See `structure`."""
        if len(names) == 1 and self.spaces[names[0]].size is not None:
            return Table(self.table(names[0], **rest), other_than)
        return None

    # --- elimination ------------------------------------------------------------------------------------------------

    def minimize(self, name: str, solver: Any = None, *, differentiate: str = "envelope", **options: Any) -> Eliminated:
        """F = min over ``name``: an energy of the variables that are left.

        Args:
            name: The variable to eliminate.
            solver: How to look; a finite variable is looked up in its table, and a quadratic solved, without one.
            differentiate: How gradients flow through the minimiser: "envelope" (held fixed, exact at a minimum),
                "unroll" (through every step) or "implicit" (through the optimality condition).
            **options: For `lowland.inference.solve`: ``steps``, ``tol``, …
        """
        from .elimination import Eliminated
        from .reduction import Min

        return Eliminated(self, name, Min(), solver, differentiate, options)

    def marginalize(
        self,
        name: str,
        beta: float | Tensor = 1.0,
        solver: Any = None,
        *,
        differentiate: str = "envelope",
        **options: Any,
    ) -> Eliminated:
        """F_β = −1/β log Σ exp(−β E) over ``name`` (an integral where it is continuous).

        Args:
            name: The variable to eliminate.
            beta: Inverse temperature > 0, in 1 / (units of energy); F_β → min E as β → ∞.
            solver: For a variable that is neither finite nor quadratic (an image of labels: `MeanField`, `BeliefPropagation`).
            differentiate: How gradients flow through what the solver finds, as for `minimize`.
            **options: For the solver.
        """
        from .elimination import Eliminated
        from .reduction import FreeEnergy

        return Eliminated(self, name, FreeEnergy(beta), solver, differentiate, options)

    # --- algebra ----------------------------------------------------------------------------------------------------

    def __add__(self, other: Energy) -> Sum:
        from .algebra import Sum

        if not isinstance(other, Energy):
            return NotImplemented
        return Sum(self, other)

    def __mul__(self, weight: float | Tensor) -> Scaled:
        from .algebra import Scaled

        return Scaled(self, weight)

    __rmul__ = __mul__

    @property
    def reference(self) -> Tensor | None:
        """A floating-point tensor that the energy works with, for its device and dtype; ``None`` if it holds none."""
        return next((parameter for parameter in self.parameters() if parameter.is_floating_point()), None)

    @property
    def device(self) -> torch.device:
        """Where the energy's tensors are; torch's default device when it holds none."""
        reference = self.reference
        return torch.get_default_device() if reference is None else reference.device


def broadcast_shapes(shapes: Mapping[str, torch.Size]) -> torch.Size:
    """What the batch shapes broadcast to.

    Raises:
        SpaceError: Naming each variable's batch shape, if they don't.
    """
    distinct = set(shapes.values())
    if len(distinct) == 1:
        return distinct.pop()  # torch takes twenty microseconds to say the same, which small networks feel
    try:
        return torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        each = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
        raise SpaceError(f"Batch shapes don't broadcast against each other: {each}.") from None
