"""Bits that don't see each other, and an energy from which a layer of such bits is eliminated.

    E(z) = constant − Σ_k field_k z_k,   z_k in {0, 1}
    F_β  = constant − 1/β Σ_k log(1 + exp(β field_k))          marginalised: a softplus for each bit
    F    = constant − Σ_k max(0, field_k)                      minimised: z_k = 1 where the field is positive

So a layer of K bits costs K numbers where its table would cost 2ᴷ. It is what is left of a Boltzmann machine's layer once the
layers that it talks to are known (Smolensky 1986; Hinton, Neural Computation 14 (2002), section 7).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..errors import SpaceError, StructureError
from ..spaces import Binary
from .energy import Energy
from .linear import watched
from .partial import Completed, Partial
from .reduction import FreeEnergy, Min, Reduction


def flip(odds: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Bits that are 1 with probability σ(odds), each drawn on its own."""
    return torch.rand(odds.shape, generator=generator, device=odds.device, dtype=odds.dtype).lt(odds.sigmoid()).to(odds)


@runtime_checkable
class Layered(Protocol):
    """An energy that is linear in each bit of a layer, given everything else."""

    def field(self, name: str, **rest: Any) -> tuple[Tensor, Tensor]:
        """Field ``(*B, K)`` and constant ``(*B)``: E = constant − field · bits, where ``rest`` are all the other variables."""
        ...


class EliminatedBits(Energy):
    """An energy with a layer of bits minimised or marginalised out in closed form.

    Args:
        energy: One whose variable ``name`` is such a layer: it has a `field`.
        name: The layer that goes.
        reduction: `Min` or `FreeEnergy`.

    Raises:
        StructureError: For another reduction.
    """

    energy: Any  # whatever has a `field`

    @classmethod
    def example(cls) -> EliminatedBits:
        """A small one, for the conformance checks."""
        from .restricted_boltzmann import RestrictedBoltzmann

        return cls(RestrictedBoltzmann.example(), "z", FreeEnergy(2.0))

    def __init__(self, energy: Any, name: str, reduction: Reduction) -> None:
        energy.known({name})
        if not isinstance(reduction, (Min, FreeEnergy)):
            raise StructureError(f"EliminatedBits: wanted Min() or FreeEnergy(beta) for {name}, got {reduction!r}.")
        super().__init__(**{other: space for other, space in energy.spaces.items() if other != name})
        self.energy, self.name, self.reduction = energy, name, reduction

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != self.spaces.keys():
            raise self._wrong_names(values.keys())
        if torch.is_grad_enabled() and self.name == "z" and hasattr(self.energy, "free_energy") and not watched():
            beta = getattr(self.reduction, "beta", None)
            if isinstance(beta, float):
                return self.energy.free_energy(values["x"], beta)
        return self._reduce(*self.energy.field(self.name, **values))

    def _reduce(self, field: Tensor, constant: Tensor) -> Tensor:
        if isinstance(self.reduction, Min):
            return constant - field.relu().sum(-1)
        beta = self.reduction.beta
        if isinstance(beta, Tensor):
            return constant - softplus(beta.unsqueeze(-1) * field).sum(-1) / beta
        return constant - softplus(beta * field).sum(-1) / beta

    def answer(self, **values: Any) -> Tensor:
        """The layer that was eliminated, ``(*batch, *event)``: the mean of its bits, or where they are lowest."""
        field, _ = self.energy.field(self.name, **values)
        if isinstance(self.reduction, Min):
            bits = (field > 0).to(field.dtype)
        else:
            beta = self.reduction.beta
            bits = ((beta.unsqueeze(-1) if isinstance(beta, Tensor) else beta) * field).sigmoid()
        return bits.reshape(*field.shape[:-1], *self.energy.spaces[self.name].shape)

    def redraw(
        self, value: Tensor, beta: float, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """The energy at a value of the other layer, and a new value: the eliminated layer is drawn, then the other given it.

        Block Gibbs sampling of exp(−β F_β): one matrix product down, one up, and the energy comes for nothing.

        Args:
            value: ``(*B, *event)``, of the only variable.
            beta: Inverse temperature; the one at which the layer was marginalised.
            generator: Source of randomness.

        Returns:
            ``(*B)`` and ``(*B, *event)``; ``None`` where the layer was minimised or marginalised at another β, or where the
            other layer can't be drawn at once.
        """
        marginal = isinstance(self.reduction, FreeEnergy) and self.reduction.beta == beta
        if not marginal or not hasattr(self.energy, "draw"):
            return None
        field, constant = self.energy.field(self.name, **{self.variable: value})
        bits = flip(beta * field, generator).reshape(*field.shape[:-1], *self.energy.spaces[self.name].shape)
        new = self.energy.draw(self.variable, beta, generator, **{self.name: bits})
        return self._reduce(field, constant), new

    def given(self, **observed: Any) -> Energy:
        self.known(observed)
        if not observed:
            return self
        if any(isinstance(value, Partial) for value in observed.values()):
            ((name, partial),) = observed.items()
            return CompletedBits(self, name, partial)
        return EliminatedBits(self.energy.given(**observed), self.name, self.reduction)

    @property
    def batch_shape(self) -> torch.Size:
        return self.energy.batch_shape

    @property
    def reference(self) -> Tensor | None:
        return self.energy.reference

    def select(self, rows: Tensor) -> Energy:
        return EliminatedBits(self.energy.select(rows), self.name, self.reduction)


class CompletedBits(Completed):
    """A layer known in places, its partner eliminated: still drawn at once, since bits of a layer don't see each other.

    Args:
        energy: The energy of the layer.
        name: The layer.
        partial: Its value where it is known.
    """

    energy: EliminatedBits

    @classmethod
    def example(cls) -> CompletedBits:
        """A small one, for the conformance checks."""
        known = torch.tensor([True, False, False])
        return cls(EliminatedBits.example(), "x", Partial(torch.ones(3), known))

    def redraw(
        self, value: Tensor, beta: float, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """As `EliminatedBits.redraw`; what is known stays."""
        known = self.partial.value.to(value.dtype)
        drawn = self.energy.redraw(torch.where(self.partial.known, known, value), beta, generator)
        return None if drawn is None else (drawn[0], torch.where(self.partial.known, known, drawn[1]))

    def select(self, rows: Tensor) -> Energy:
        energy = self.energy.select(rows) if self.energy.batch_shape else self.energy
        return CompletedBits(energy, self.name, self._rows(rows))  # type: ignore[arg-type]


class IndependentBits(Energy):
    """constant − Σ field · z: each bit is 1 with probability σ(β field), whatever the others are.

    Args:
        field: ``(*B, *event)``, in units of energy.
        constant: ``(*B)``, added; zero by default.
        name: What the variable is called.
        events: How many of the last dimensions of ``field`` are the event's.

    Raises:
        SpaceError: If the batch shapes of the two don't agree.
    """

    broadcasts = True
    bias: Tensor
    constant: Tensor

    def __init__(self, field: Tensor, constant: Tensor | None = None, name: str = "z", events: int = 1) -> None:
        split = field.ndim - events
        batch = field.shape[:split]
        if split < 0 or (constant is not None and constant.shape != batch):
            got = None if constant is None else tuple(constant.shape)
            raise SpaceError(
                f"IndependentBits: wanted a field (*B, *event) with {events} event dimensions and a constant (*B), got a field "
                f"{tuple(field.shape)} and a constant {got}."
            )
        super().__init__(**{name: Binary(*field.shape[split:])})
        self.name = name
        self.register_buffer("bias", field.flatten(split), persistent=False)
        self.register_buffer("constant", field.new_zeros(batch) if constant is None else constant, persistent=False)

    @classmethod
    def example(cls) -> IndependentBits:
        """A small one, for the conformance checks."""
        return cls(torch.tensor([0.5, -1.0, 0.3]), torch.tensor(0.2))

    @classmethod
    def of(cls, x: Tensor, name: str = "x", pseudo: float = 1.0) -> IndependentBits:
        """The likeliest for samples ``(N, *event)``: each bit as often 1 as there, after ``pseudo`` more zeros and ones."""
        mean = (x.sum(0) + pseudo) / (len(x) + 2 * pseudo)
        return cls(mean.logit(), name=name, events=x.ndim - 1)

    def energies(self, **values: Tensor) -> Tensor:
        value = values[self.name]
        flat = value.reshape(*self.spaces[self.name].batch_shape(value, self.name), -1)
        return self.constant - (self.bias * flat).sum(-1)

    def field(self, name: str) -> tuple[Tensor, Tensor]:
        """The field ``(*B, K)`` and the constant ``(*B)``."""
        self.known({name})
        return self.bias, self.constant

    def table(self, *names: str, **rest: Tensor) -> Tensor:
        if names != (self.name,) or rest:
            return super().table(*names, **rest)
        every = self.spaces[self.name].enumerate(self.bias.device).flatten(1).to(self.bias.dtype)
        return self.constant.unsqueeze(-1) - self.bias @ every.T

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """So many samples of exp(−E) for each sample of the batch: ``(count, *B, *event)``."""
        drawn = flip(self.bias.expand(count, *self.bias.shape), generator)
        return drawn.reshape(count, *self.batch_shape, *self.spaces[self.name].shape)

    def log_partition(self) -> Tensor:
        """log Σ_z exp(−E(z)), in nats: ``(*B)``."""
        return softplus(self.bias).sum(-1) - self.constant

    def guess(self, name: str) -> Tensor | None:
        """The lowest point: there a search has nothing left to do."""
        return (self.bias > 0).to(self.bias.dtype).reshape(*self.batch_shape, *self.spaces[name].shape)

    def minimize(self, name: str, solver: Any = None, **options: Any) -> Any:
        """The lowest energy, in closed form unless a solver is asked for."""
        return super().minimize(name, solver, **options) if solver else EliminatedBits(self, name, Min())

    def marginalize(self, name: str, beta: float | Tensor = 1.0, solver: Any = None, **options: Any) -> Any:
        """The free energy, in closed form unless a solver is asked for."""
        return (
            super().marginalize(name, beta, solver, **options)
            if solver
            else EliminatedBits(self, name, FreeEnergy(beta))
        )

    @property
    def batch_shape(self) -> torch.Size:
        return self.constant.shape

    @property
    def reference(self) -> Tensor | None:
        return self.bias

    def select(self, rows: Tensor) -> Energy:
        if not self.batch_shape:
            return self
        event = self.spaces[self.name].shape
        bias = self.bias[rows].reshape(len(rows), *event)
        return IndependentBits(bias, self.constant[rows], self.name, len(event))
