"""What elimination puts in place of a sum over configurations; the answer is read off its gradient.

    Min            min_k E_k                        dF/dE: the argmin, one-hot
    FreeEnergy(β)  −1/β log Σ_k exp(−β E_k)         dF/dE: the posterior
    KBest(k)       the k lowest energies            dF_i/dE: the i-th best, one-hot
    Sample(β)      the free energy                  dF/dE: one draw from the posterior, one-hot

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

    def __call__(self, table: Tensor) -> Tensor:
        raise NotImplementedError

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
        return _SampledFreeEnergy.apply(table, self.beta, self.generator)


class _SampledFreeEnergy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, beta: float | Tensor, generator: torch.Generator | None) -> Tensor:
        logits = -beta * table
        flat = logits.softmax(-1).reshape(-1, table.shape[-1])
        index = torch.multinomial(flat, 1, generator=generator).reshape(table.shape[:-1])
        ctx.save_for_backward(torch.nn.functional.one_hot(index, table.shape[-1]).to(table.dtype))
        return -torch.logsumexp(logits, -1) / beta

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (drawn,) = ctx.saved_tensors
        return grads[0].unsqueeze(-1) * drawn, None, None


def _check_beta(beta: float | Tensor) -> None:
    if not bool(torch.as_tensor(beta > 0).all()):
        raise SpaceError(f"beta: wanted an inverse temperature > 0, got {beta}.")
