"""What comes next by the last few symbols, each a vector: the neural probabilistic language model.

    h_t = tanh(W [c(y_{t−1}), …, c(y_{t−n})] + b)          logits = C h_t + a,  C: the same vectors

Symbols that are used alike get vectors that are alike, so that what was learnt of one helps where the other stands: what counting can't do.

Sources: Bengio, Ducharme, Vincent & Jauvin, JMLR 3 (2003), eqs. 4–6; Press & Wolf, EACL 2017, for predicting by the vectors that are read.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from ..energy import NextSymbol


class Window(NextSymbol):
    """Says what comes next by the last few symbols; before the first there are begin symbols.

    Args:
        vocabulary: V.
        dim: Length of what stands for a symbol, and of h.
        size: n, how many symbols are seen.
        dropped: Share of units that dropout leaves out.
    """

    def __init__(self, vocabulary: int, dim: int = 200, size: int = 5, dropped: float = 0.2) -> None:
        super().__init__(vocabulary)
        self.size, self.dropped = size, dropped
        self.symbols = nn.Embedding(vocabulary + 1, dim)
        nn.init.uniform_(self.symbols.weight, -0.1, 0.1)
        self.join = nn.Linear(size * dim, dim)
        self.usual = nn.Parameter(torch.zeros(vocabulary + 1))

    def forward(self, symbols: Int64[Tensor, "N T"], context: Any = None) -> Float[Tensor, "N T V1"]:
        return self.through(symbols, self.begin(len(symbols), 1, context))[0]

    def begin(self, count: int, width: int, context: Any = None) -> Tensor:
        return torch.full((count, width, self.size - 1), self.vocabulary, device=self.usual.device)

    def through(
        self, symbols: Int64[Tensor, "N T"], memory: Tensor, context: Any = None
    ) -> tuple[Float[Tensor, "N T V1"], Tensor]:
        past = torch.cat([memory[:, 0], symbols], 1)
        left = past[:, past.shape[1] - self.size + 1 :]
        return self._said(past.unfold(1, self.size, 1)), left[:, None]

    def extend(
        self, symbol: Int64[Tensor, "N W"], memory: Tensor, context: Any = None
    ) -> tuple[Float[Tensor, "N W V1"], Tensor]:
        past = torch.cat([memory, symbol[..., None]], -1)
        return self._said(past), past[..., 1:]

    def _said(self, seen: Int64[Tensor, "*N n"]) -> Float[Tensor, "*N V1"]:
        h = dropout(self.symbols(seen), self.dropped, self.training)
        h = dropout(torch.tanh(self.join(h.flatten(-2))), self.dropped, self.training)
        return linear(h, self.symbols.weight, self.usual)
