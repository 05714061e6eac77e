"""What elimination puts in place of a sum over configurations; the answer is read off its gradient.

    Min            min_k E_k                        dF/dE: the argmin, one-hot
    FreeEnergy(β)  −1/β log Σ_k exp(−β E_k)         dF/dE: the posterior
    KBest(k)       the k lowest energies            dF_i/dE: the i-th best, one-hot
    Sample(β)      the free energy                  dF/dE: one draw from the posterior, one-hot
    Entropy(β)     β(⟨E⟩ − F_β)                     of the posterior, in nats

A recursion over paths uses the same reductions step by step: what has been reduced so far is a total of `width` numbers,
`merge` reduces totals, `pull` is its gradient. +∞ stands for what is forbidden and pulls nothing.

Sources: Goodman, Semiring Parsing (1999); Eisner, Inside-Outside and Forward-Backward Algorithms Are Just Backprop (2016);
for sampling by the backward pass, Aji & McEliece, IEEE Trans. IT 46 (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import SpaceError


class Reduction:
    """Replaces the energies along the last dimension by one number: ``(*B, K) → (*B)``."""

    @property
    def width(self) -> int:
        """How many numbers a total has."""
        return 1

    def __call__(self, table: Tensor) -> Tensor:
        return self.read(self.merge(self.lift(table)))

    def nests(self, other: Reduction) -> bool:
        """Whether reducing one variable by this and another one by ``other`` is reducing both at once by ``other``."""
        return self == other

    def lift(self, energies: Tensor) -> Tensor:
        """The totals of single energies: ``(*B) → (*B, width)``."""
        return energies.unsqueeze(-1)

    def merge(self, totals: Tensor) -> Tensor:
        """The total of several alternatives: ``(*B, n, width) → (*B, width)``."""
        raise NotImplementedError

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        """The gradient of `merge`: from that of what came out ``(*B, width)`` to that of what went in ``(*B, n, width)``."""
        raise NotImplementedError

    def join(self, one: Tensor, other: Tensor) -> Tensor:
        """The total of two parts that share no variable, from theirs: ``(*B, width)`` twice ``→ (*B, width)``."""
        return one + other

    def read(self, total: Tensor) -> Tensor:
        """What is asked for, of the total of everything: ``(*B, width) → (*B)``; differentiable."""
        return total.squeeze(-1)

    def answer(self, table: Tensor) -> Tensor:
        """The gradient of the reduced energy: where it came from, ``(*B, K) → (*B, K)``."""
        with torch.enable_grad():
            table = table.detach().requires_grad_()
            return torch.autograd.grad(self(table).sum(), table)[0]


@dataclass(frozen=True)
class Min(Reduction):
    """The lowest energy; of equal ones the first."""

    def __call__(self, table: Tensor) -> Tensor:
        return table.min(-1).values

    def nests(self, other: Reduction) -> bool:
        return isinstance(other, (Min, KBest))

    def merge(self, totals: Tensor) -> Tensor:
        return totals.amin(-2)

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        first = totals.argmin(-2, keepdim=True)
        return torch.zeros_like(totals).scatter(-2, first, _reachable(merged, grad).unsqueeze(-2))


@dataclass(frozen=True)
class FreeEnergy(Reduction):
    """−1/β log Σ exp(−β E), between min E − log(K)/β and min E.

    Attributes:
        beta: Inverse temperature > 0, in 1 / (units of energy).
    """

    beta: float | Tensor = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    def __call__(self, table: Tensor) -> Tensor:
        return -torch.logsumexp(-self.beta * table, -1) / self.beta

    def nests(self, other: Reduction) -> bool:
        return isinstance(other, (FreeEnergy, Sample)) and bool(torch.as_tensor(self.beta == other.beta).all())

    def merge(self, totals: Tensor) -> Tensor:
        return -torch.logsumexp(-self.beta * totals, -2) / self.beta

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        return _weights(totals, merged, self.beta) * grad.unsqueeze(-2)


@dataclass(frozen=True)
class KBest(Reduction):
    """The k lowest energies in order: ``(*B, K) → (*B, k)``; fewer than k values are padded with +∞.

    Attributes:
        k: How many, at least 1.
    """

    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SpaceError(f"KBest: wanted k ≥ 1, got {self.k}.")

    def __call__(self, table: Tensor) -> Tensor:
        found = table.topk(min(self.k, table.shape[-1]), -1, largest=False).values
        return torch.nn.functional.pad(found, (0, self.k - found.shape[-1]), value=torch.inf)

    def answer(self, table: Tensor) -> Tensor:
        """One-hot for each of the k: ``(*B, K) → (*B, k, K)``; zero where there is no i-th value."""
        with torch.enable_grad():
            table = table.detach().requires_grad_()
            best = self(table)
            rows = [torch.autograd.grad(best[..., i].sum(), table, retain_graph=True)[0] for i in range(self.k)]
        return torch.stack(rows, -2)

    @property
    def width(self) -> int:
        return self.k

    def lift(self, energies: Tensor) -> Tensor:
        return torch.nn.functional.pad(energies.unsqueeze(-1), (0, self.k - 1), value=torch.inf)

    def merge(self, totals: Tensor) -> Tensor:
        return totals.flatten(-2).topk(self.k, -1, largest=False, sorted=True).values

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        flat = totals.flatten(-2)
        found = flat.topk(self.k, -1, largest=False, sorted=True).indices
        return torch.zeros_like(flat).scatter(-1, found, _reachable(merged, grad)).reshape(totals.shape)

    def join(self, one: Tensor, other: Tensor) -> Tensor:
        return self.merge(one.unsqueeze(-1) + other.unsqueeze(-2))

    def read(self, total: Tensor) -> Tensor:
        return total


@dataclass(frozen=True)
class Sample(Reduction):
    """The free energy, whose gradient is one draw from exp(−β E) / Σ exp(−β E).

    Attributes:
        beta: Inverse temperature > 0.
        generator: Source of randomness; torch's own by default.
    """

    beta: float | Tensor = 1.0
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    def __call__(self, table: Tensor) -> Tensor:
        return _SampledFreeEnergy.apply(table, self)

    def merge(self, totals: Tensor) -> Tensor:
        return -torch.logsumexp(-self.beta * totals, -2) / self.beta

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        weights = _weights(totals, merged, self.beta).squeeze(-1)
        nowhere = (weights.sum(-1, keepdim=True) == 0).to(weights.dtype)
        flat = (weights + nowhere).reshape(-1, weights.shape[-1])
        drawn = torch.multinomial(flat, 1, generator=self.generator).reshape(*weights.shape[:-1], 1)
        return torch.zeros_like(weights).scatter(-1, drawn, _reachable(merged, grad)).unsqueeze(-1)


class _SampledFreeEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, reduction: Sample) -> Tensor:
        totals = reduction.lift(table)
        merged = reduction.merge(totals)
        ctx.save_for_backward(reduction.pull(totals, merged, torch.ones_like(merged)).squeeze(-1))
        return merged.squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (drawn,) = ctx.saved_tensors
        return grads[0].unsqueeze(-1) * drawn, None


@dataclass(frozen=True)
class Entropy(Reduction):
    """β(⟨E⟩ − F_β) = −Σ p log p ≥ 0 of the posterior p ∝ exp(−βE), in nats; a total is the pair (F_β, ⟨E⟩).

    Attributes:
        beta: Inverse temperature > 0, in 1 / (units of energy).
    """

    beta: float | Tensor = 1.0

    def __post_init__(self) -> None:
        _check_beta(self.beta)

    @property
    def width(self) -> int:
        return 2

    def lift(self, energies: Tensor) -> Tensor:
        return energies.unsqueeze(-1).expand(*energies.shape, 2)

    def merge(self, totals: Tensor) -> Tensor:
        free = -torch.logsumexp(-self.beta * totals[..., 0], -1) / self.beta
        weights = _weights(totals[..., 0], free, self.beta, dim=-1)
        return torch.stack([free, (weights * _finite(totals[..., 1])).sum(-1)], -1)

    def pull(self, totals: Tensor, merged: Tensor, grad: Tensor) -> Tensor:
        weights = _weights(totals[..., 0], merged[..., 0], self.beta, dim=-1)
        above = _finite(totals[..., 1]) - merged[..., 1:]
        free = weights * (grad[..., :1] - self.beta * above * grad[..., 1:])
        return torch.stack([free, weights * grad[..., 1:]], -1)

    def read(self, total: Tensor) -> Tensor:
        return self.beta * (total[..., 1] - total[..., 0])


def _weights(totals: Tensor, merged: Tensor, beta: float | Tensor, dim: int = -2) -> Tensor:
    """exp(−β(E_i − F)): the share of each alternative; zero for all where none is allowed."""
    return (-beta * (totals - _finite(merged).unsqueeze(dim))).exp()


def _finite(totals: Tensor) -> Tensor:
    return totals.masked_fill(totals.isinf(), 0.0)


def _reachable(merged: Tensor, grad: Tensor) -> Tensor:
    """The gradient, but none where nothing is allowed."""
    return grad.masked_fill(merged.isinf(), 0.0)


def _check_beta(beta: float | Tensor) -> None:
    if not bool(torch.as_tensor(beta > 0).all()):
        raise SpaceError(f"beta: wanted an inverse temperature > 0, got {beta}.")
