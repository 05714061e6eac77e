"""Boltzmann machines of two layers that only talk to each other.

    E(x, z) = −(x − μ)ᵀb − (z − λ)ᵀc − (x − μ)ᵀW(z − λ)               bits and bits
    E(x, z) = ½‖(x − b)/σ‖² − (z − λ)ᵀc − ((x − b)/σ)ᵀW(z − λ)        real numbers and bits

With μ = λ = 0 the first is −bᵀx − cᵀz − xᵀWz. Origins change no distribution that b and c could not make up for, but they change
the direction of the gradient: about the means of the layers it follows W and the biases apart (the centring trick).

Given one layer, the units of the other are independent: `marginalize` is a sum of softplus, conditionals are drawn at once.

Sources: Smolensky (1986); Hinton, Neural Computation 14 (2002), eq. 5; Krizhevsky, Learning Multiple Layers of Features from Tiny
Images (2009), section 1.4, for real x; Montavon & Müller, in Neural Networks: Tricks of the Trade (2012), and Melchior, Fischer &
Wiskott, How to Center Deep Boltzmann Machines, JMLR 17 (2016), for the origins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import SpaceError
from ..spaces import Binary, Real, Space
from .energy import Energy, QuadraticForm
from .independent_bits import EliminatedBits, IndependentBits, flip
from .independent_gaussians import IndependentGaussians
from .linear import batched_linear, linear
from .partial import Partial
from .reduction import FreeEnergy, Min


class BoltzmannMachine(Energy, ABC):
    """A visible layer x and a hidden layer z of bits; final are `RestrictedBoltzmann` and `GaussianBernoulli`.

    Attributes:
        W: ``(D, K)``, drawn from N(0, 0.01²) as Hinton's practical guide advises.
        b: ``(D,)``, zero.
        c: ``(K,)``, zero.
        z_origin: λ, ``(K,)``, zero. A buffer: it is a choice.
    """

    broadcasts = True
    z_origin: Tensor

    def __init__(self, x: Space, hidden: int) -> None:
        if hidden < 1:
            raise SpaceError(f"{type(self).__name__}: wanted at least 1 hidden unit, got {hidden}.")
        super().__init__(x=x, z=Binary(hidden))
        dim = x.shape.numel()
        self.W = nn.Parameter(0.01 * torch.randn(dim, hidden))
        self.b = nn.Parameter(torch.zeros(dim))
        self.c = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("z_origin", torch.zeros(hidden))

    @abstractmethod
    def field(self, name: str, **rest: Tensor) -> tuple[Tensor, Tensor]:
        """What a layer of bits feels from the other one: E = constant − field · bits, ``(*B, K)`` and ``(*B)``."""

    @abstractmethod
    def draw(self, name: str, beta: float = 1.0, generator: torch.Generator | None = None, **rest: Tensor) -> Tensor:
        """A layer drawn from exp(−β E), the other being given: ``(*B, *event)``."""

    @abstractmethod
    def mean(self, name: str, **rest: Tensor) -> Tensor:
        """The mean of a layer at β = 1, the other being given (bits, or numbers between 0 and 1): ``(*B, *event)``."""

    def flat(self, name: str, value: Tensor) -> Tensor:
        """``(*B, *event) → (*B, D)``."""
        return value.reshape(*self.spaces[name].batch_shape(value, name), -1)

    def energies(self, x: Tensor, z: Tensor) -> Tensor:
        field, constant = self.field("z", x=x)
        return constant - (field * z).sum(-1)

    def given(self, **observed: Any) -> Energy:
        """With x known the bits of z no longer see each other."""
        if observed.keys() != {"x"} or isinstance(observed["x"], Partial):
            return super().given(**observed)
        return IndependentBits(*self.field("z", **observed), name="z")

    def minimize(self, name: str, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer minimised out; a layer of bits in closed form unless a solver is asked for."""
        if solver is not None or not isinstance(self.spaces.get(name), Binary):
            return super().minimize(name, solver, **options)
        return EliminatedBits(self, name, Min())

    def marginalize(self, name: str, beta: float | Tensor = 1.0, solver: Any = None, **options: Any) -> Any:
        """The energy with a layer summed out, in closed form unless a solver is asked for."""
        if solver is not None or not isinstance(self.spaces.get(name), Binary):
            return super().marginalize(name, beta, solver, **options)
        return EliminatedBits(self, name, FreeEnergy(beta))


class RestrictedBoltzmann(BoltzmannMachine):
    """Bits and bits: −(x − μ)ᵀb − (z − λ)ᵀc − (x − μ)ᵀW(z − λ). Units: nats, at β = 1.

    Args:
        x: Space of the visible layer, ``Binary(28, 28)`` for instance.
        hidden: K, how many hidden bits.

    Attributes:
        x_origin: μ, ``(D,)``, zero. A buffer: it is a choice.

    Raises:
        SpaceError: If x is not made of bits, or there is no hidden bit.
    """

    x_origin: Tensor

    def __init__(self, x: Space, hidden: int) -> None:
        if not isinstance(x, Binary):
            raise SpaceError(
                f"RestrictedBoltzmann: wanted a visible layer of bits like Binary(784), got {x!r}; real numbers are for GaussianBernoulli."
            )
        super().__init__(x, hidden)
        self.register_buffer("x_origin", torch.zeros(x.shape.numel()))

    @classmethod
    def example(cls) -> RestrictedBoltzmann:
        """A small one, for the conformance checks."""
        energy = cls(Binary(3), 2)
        with torch.no_grad():
            energy.W.copy_(torch.tensor([[1.0, -0.5], [-1.2, 0.3], [0.4, 0.8]]))
            energy.b.copy_(torch.tensor([0.3, -0.2, 0.1]))
            energy.z_origin.fill_(0.5)
        return energy

    @torch.no_grad()
    def start(self, x: Tensor, pseudo: float = 1.0) -> None:
        """Take over what is known before training: the origins are the layers' means, the biases of x its log odds.

        Args:
            x: ``(N, *event)``, bits or the probabilities of bits.
            pseudo: How many samples of each value are added, so that a pixel that is never on keeps a finite bias.
        """
        mean = (self.flat("x", x).sum(0) + pseudo) / (len(x) + 2 * pseudo)
        self.x_origin.copy_(mean)
        self.z_origin.fill_(0.5)
        self.b.copy_(mean.logit())

    def field(self, name: str, **rest: Tensor) -> tuple[Tensor, Tensor]:
        self._check_names(name, rest)
        if name == "z":
            x = self.flat("x", rest["x"]) - self.x_origin
            field = batched_linear(x, self.W.T, self.c)
            return field, field @ self.z_origin - x @ self.b
        z = self.flat("z", rest["z"]) - self.z_origin
        field = batched_linear(z, self.W, self.b)
        return field, field @ self.x_origin - z @ self.c

    def free_energy(self, x: Tensor, beta: float) -> Tensor:
        """F_β(x) with z summed out, ``(*B)``: for training, where a gradient in closed form saves half of the time."""
        batch = self.spaces["x"].batch_shape(x, "x")
        with torch.autocast(x.device.type, enabled=False):  # chains may be drawn at half precision, sums not
            rows = x.reshape(batch.numel(), -1).to(self.b.dtype) - self.x_origin
            return _FreeEnergy.apply(rows, self.W, self.b, self.c, self.z_origin, beta).reshape(batch)  # type: ignore[union-attr]

    def draw(self, name: str, beta: float = 1.0, generator: torch.Generator | None = None, **rest: Tensor) -> Tensor:
        field, _ = self.field(name, **rest)
        return flip(beta * field, generator).reshape(*field.shape[:-1], *self.spaces[name].shape)

    def mean(self, name: str, **rest: Tensor) -> Tensor:
        field, _ = self.field(name, **rest)
        return field.sigmoid().reshape(*field.shape[:-1], *self.spaces[name].shape)

    def given(self, **observed: Any) -> Energy:
        """With one layer known the bits of the other no longer see each other."""
        if observed.keys() == {"z"} and not isinstance(observed["z"], Partial):
            field, constant = self.field("x", **observed)
            event = self.spaces["x"].shape
            return IndependentBits(field.reshape(*constant.shape, *event), constant, "x", len(event))
        return super().given(**observed)

    def _check_names(self, name: str, rest: dict[str, Tensor]) -> None:
        if {name, *rest} != {"x", "z"} or len(rest) != 1:
            raise self._wrong_names({name, *rest})


class GaussianBernoulli(BoltzmannMachine):
    """Real numbers and bits: ½‖(x − b)/σ‖² − (z − λ)ᵀc − ((x − b)/σ)ᵀW(z − λ). Units: nats, at β = 1.

    Given z, x is Gaussian about b + σ W(z − λ) with the standard deviation σ.

    Args:
        x: Space of the visible layer, ``Real(8, 8)`` for instance.
        hidden: K, how many hidden bits.
        spread: σ > 0, in units of x.

    Raises:
        SpaceError: If there is no hidden bit, or σ is not positive.
    """

    spread: Tensor

    def __init__(self, x: Space, hidden: int, spread: float = 1.0) -> None:
        if type(x) is not Real:
            raise SpaceError(
                f"GaussianBernoulli: wanted a visible layer of unbounded numbers like Real(64), got {x!r}; bits: RestrictedBoltzmann."
            )
        if not spread > 0:
            raise SpaceError(f"GaussianBernoulli: wanted a spread > 0, got {spread}.")
        super().__init__(x, hidden)
        self.register_buffer("spread", torch.tensor(float(spread)))

    @classmethod
    def example(cls) -> GaussianBernoulli:
        """A small one, for the conformance checks."""
        energy = cls(Real(3), 2, 0.7)
        with torch.no_grad():
            energy.W.copy_(torch.tensor([[1.0, -0.5], [-1.2, 0.3], [0.4, 0.8]]))
            energy.b.copy_(torch.tensor([0.3, -0.2, 0.1]))
        return energy

    def field(self, name: str, **rest: Tensor) -> tuple[Tensor, Tensor]:
        if name != "z" or rest.keys() != {"x"}:
            raise self._wrong_names({name, *rest})
        white = (self.flat("x", rest["x"]) - self.b) / self.spread
        field = batched_linear(white, self.W.T, self.c)
        return field, 0.5 * white.square().sum(-1) + field @ self.z_origin

    def draw(self, name: str, beta: float = 1.0, generator: torch.Generator | None = None, **rest: Tensor) -> Tensor:
        if name == "z":
            return flip(beta * self.field("z", **rest)[0], generator)
        mean = self.mean("x", **rest)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + self.spread / beta**0.5 * noise

    def mean(self, name: str, **rest: Tensor) -> Tensor:
        if name == "z":
            return self.field("z", **rest)[0].sigmoid()
        if name != "x" or rest.keys() != {"z"}:
            raise self._wrong_names({name, *rest})
        z = self.flat("z", rest["z"]) - self.z_origin
        return (self.b + self.spread * batched_linear(z, self.W)).reshape(*z.shape[:-1], *self.spaces["x"].shape)

    @property
    def base(self) -> IndependentGaussians:
        """The same without connections, ½‖(x − b)/σ‖²: where annealed importance sampling begins."""
        return IndependentGaussians(self.b.detach().reshape(self.spaces["x"].shape), self.spread)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        """Given z, a quadratic of x: so x can be marginalised out as well."""
        if name not in (None, "x") or rest.keys() != {"z"}:
            return None
        z = self.flat("z", rest["z"]) - self.z_origin
        centre = self.b / self.spread
        pull = centre + batched_linear(z, self.W)
        constant = (centre * (pull - 0.5 * centre)).sum(-1) - z @ self.c
        return QuadraticForm(torch.eye(len(self.b)).to(pull) / self.spread**2, pull / self.spread, constant)


class _FreeEnergy(torch.autograd.Function):
    """−xᵀb + Σ_k [λ_k f_k − log(1 + exp(β f_k))/β] with f = c + Wᵀx, as a single operation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Tensor, b: Tensor, c: Tensor, origin: Tensor, beta: float) -> Tensor:
        field = linear(x, W.T, c)
        ctx.save_for_backward(x, W, b, c, origin, field)
        ctx.beta = beta
        return field @ origin - x @ b - softplus(field, beta).sum(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, W, b, c, origin, field = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants the gradient of the gradient
            field = linear(x, W.T, c)
        pull = (origin - (ctx.beta * field).sigmoid()) * grad.unsqueeze(-1)
        to_x = pull @ W.T - grad.unsqueeze(-1) * b if ctx.needs_input_grad[0] else None
        return to_x, linear(x.T, pull.T), -(grad @ x), pull.sum(0), None, None
