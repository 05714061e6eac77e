"""A quadratic of one variable, with the linear and the constant term as variables of their own.

    E(z, b, c) = ½ zᵀ G z − bᵀ z + c

What a linear decoder becomes once its observation is fixed: G is shared by all samples and computed once.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Binary, Real, Space
from .energy import Energy, QuadraticForm


class Quadratic(Energy):
    """½ zᵀGz − linearᵀz + constant.

    Args:
        gram: G, symmetric ``(K, K)``; positive definite if the energy is to be minimised without a regulariser.
        name: What the variable is called.
        space: What it ranges over; ``Real(K)`` by default, any space of K numbers otherwise.

    Attributes:
        gram: The same G. Give ``linear`` and ``constant`` to get an energy of ``name`` alone.

    Raises:
        SpaceError: If ``gram`` is not a square matrix of the space's length.
    """

    broadcasts = True
    gram: Tensor

    @classmethod
    def example(cls) -> Quadratic:
        return cls(torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.5]]))

    def __init__(self, gram: Float[Tensor, "K K"], name: str = "z", space: Space | None = None) -> None:
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
            raise SpaceError(f"Quadratic: wanted a square matrix (K, K), got {tuple(gram.shape)}.")
        space = space or Real(len(gram))
        if space.shape.numel() != len(gram):
            raise SpaceError(
                f"Quadratic: {space!r} has {space.shape.numel()} entries, but the matrix is {tuple(gram.shape)}."
            )
        super().__init__(**{name: space, "linear": Real(len(gram)), "constant": Real()})
        self.name = name
        self.register_buffer("gram", gram, persistent=False)

    def energies(self, linear: Tensor, constant: Tensor, **values: Tensor) -> Tensor:
        z = values[self.name].flatten(-len(self.spaces[self.name].shape))
        return ((0.5 * (z @ self.gram) - linear) * z).sum(-1) + constant

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        if name not in (None, self.name):
            return super().value_and_gradient(value, name, **rest)
        z = value.flatten(-len(self.spaces[self.name].shape))
        slope = z @ self.gram - rest["linear"]
        energies = 0.5 * ((slope - rest["linear"]) * z).sum(-1) + rest["constant"]
        return energies, slope.reshape(value.shape)

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        if name not in (None, self.name) or rest.keys() != {"linear", "constant"}:
            return None
        return QuadraticForm(self.gram, rest["linear"], rest["constant"])


class Bilinear(Energy):
    """Two layers that only talk to each other: E(v, h) = −vᵀWh − bᵀv − cᵀh.

    The energy of a restricted Boltzmann machine when both spaces are `Binary` (Smolensky 1986; Hinton, Neural
    Computation 14 (2002), eq. 5). Units: v and h are pure numbers, W, b and c are energies.

    Args:
        visible: Space of ``v``, D numbers.
        hidden: Space of ``h``, K numbers.

    Attributes:
        W: ``(D, K)``, drawn from N(0, 0.01²) as Hinton's practical guide advises.
        b: ``(D,)``, zero.
        c: ``(K,)``, zero.
    """

    broadcasts = True

    @classmethod
    def example(cls) -> Bilinear:
        return cls(Binary(3), Binary(4))

    def __init__(self, visible: Space, hidden: Space) -> None:
        super().__init__(v=visible, h=hidden)
        d, k = visible.shape.numel(), hidden.shape.numel()
        self.W = torch.nn.Parameter(0.01 * torch.randn(d, k))
        self.b = torch.nn.Parameter(torch.zeros(d))
        self.c = torch.nn.Parameter(torch.zeros(k))

    def energies(self, v: Tensor, h: Tensor) -> Tensor:
        v = v.flatten(-len(self.spaces["v"].shape))
        h = h.flatten(-len(self.spaces["h"].shape))
        return -((v @ self.W + self.c) * h).sum(-1) - v @ self.b

    def table(self, *names: str, **rest: Any) -> Tensor:
        if names == ("h",) and rest.keys() == {"v"}:
            v = rest["v"].flatten(-len(self.spaces["v"].shape))
            every = self.spaces["h"].enumerate(v.device).flatten(1).to(v.dtype)
            return -(v @ self.W + self.c) @ every.T - (v @ self.b).unsqueeze(-1)
        return super().table(*names, **rest)
