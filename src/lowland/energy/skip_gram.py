"""A word and one that stands beside it: their vectors' product, and how frequent the neighbour is anyway.

    E(x, y) = −⟨u(x), v_y⟩ − log p(y) − log ν        x: what a word is written with;  y: a word beside it
    u(x)    = mean of the vectors of x's pieces

With noise of density p, drawn ν times for each pair, noise-contrastive estimation of this energy is negative sampling: the noise's
density cancels, and what tells a pair from noise is ⟨u, v⟩ alone.

Sources: Mikolov, Sutskever, Chen, Corrado & Dean, NIPS 2013, eq. 4; Bojanowski, Grave, Joulin & Mikolov, TACL 5 (2017), eq. 1, for pieces.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..spaces import NOTHING, Categorical, Real, Sequence
from .energy import Energy


class Meeting(Energy):
    """A vector and a word beside it: −⟨u, v_y⟩ − log p(y) − log ν.

    Args:
        words: V, how many words there are.
        dim: D, length of u.

    Attributes:
        beside: ``(V, D)``, v of each word, from 0.
        usual: ``(V,)``, log p(y) + log ν; not trained.
    """

    broadcasts = True

    @classmethod
    def example(cls) -> Meeting:
        return cls(5, 3)

    def __init__(self, words: int, dim: int) -> None:
        super().__init__(u=Real(dim), y=Categorical(words))
        self.beside = nn.Parameter(torch.zeros(words, dim))
        self.usual: Tensor
        self.register_buffer("usual", torch.zeros(words))

    def energies(self, u: Tensor, y: Tensor) -> Tensor:
        return -(u * self.beside[y]).sum(-1) - self.usual[y]

    def table(self, *names: str, **rest: Any) -> Tensor:
        if names == ("y",) and rest.keys() == {"u"}:
            return -rest["u"] @ self.beside.T - self.usual
        return super().table(*names, **rest)


class SkipGram(Energy):
    """What a word is written with, and a word beside it.

    Args:
        words: V, how many words may stand beside it.
        pieces: How many vectors of pieces there are.
        most: Pieces of a word at most; −1 after its last.
        dim: D, length of a vector.

    Attributes:
        pieces: Vectors of the pieces, small at first.
        meeting: The energy of u and y.
    """

    @classmethod
    def example(cls) -> SkipGram:
        return cls(5, 7, 4, 3)

    def __init__(self, words: int, pieces: int, most: int, dim: int) -> None:
        super().__init__(x=Sequence(pieces, most), y=Categorical(words))
        self.meeting = Meeting(words, dim)
        self.pieces = nn.EmbeddingBag(pieces + 1, dim, mode="mean", padding_idx=pieces)
        nn.init.uniform_(self.pieces.weight, -0.5 / dim, 0.5 / dim)

    def against(self, chances: Float[Tensor, " V"], ratio: int) -> None:
        """From now on, this noise: p of each word, and ν."""
        self.meeting.usual.copy_(chances.log() + math.log(ratio))

    def vectors(self, x: Int64[Tensor, "N P"]) -> Float[Tensor, "N D"]:
        """u of each word; 0 of one without any pieces."""
        return self.pieces(torch.where(x == NOTHING, self.pieces.num_embeddings - 1, x))

    def energies(self, x: Tensor, y: Tensor) -> Tensor:
        return self.meeting(u=self.vectors(x), y=y)

    def given(self, **observed: Any) -> Energy:
        """With x known its vector is computed once."""
        if observed.keys() == {"x"} and observed["x"].ndim == 2:
            return self.meeting.given(u=self.vectors(observed["x"]))
        return super().given(**observed)

    def table(self, *names: str, **rest: Any) -> Tensor:
        if names == ("y",) and rest.keys() == {"x"} and rest["x"].ndim == 2:
            return self.meeting.table("y", u=self.vectors(rest["x"]))
        return super().table(*names, **rest)
