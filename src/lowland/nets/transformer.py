"""The Transformer: every position asks all the others, and what it has asked before is remembered.

    attention(q, K, V) = Σ_j softmax_j(q·k_j / √d) v_j

The weights are the gradient of a free energy over positions, −log Σ_j exp(−E_j) with E_j = −q·k_j / √d (see the tests): to attend is to
marginalise out a pointer, softly. One network reads x (an encoder, both ways) and says what comes next in y (a decoder that looks back
alone, and at x if there is one).

Sources: Vaswani et al., Attention Is All You Need, NIPS 2017; Xiong et al., ICML 2020, for the norm before each block; Su et al.,
RoFormer (2021), for rotary positions; Press & Wolf, EACL 2017, for tied symbols.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from ..energy import NextSymbol
from ..errors import SpaceError
from ..spaces import NOTHING
from .dropout import Dropout, dropout


class Context(NamedTuple):
    """What the encoder made of x, as each decoder block will ask it."""

    keys: tuple[Tensor, ...]  # (N, H, S, d) for each block
    values: tuple[Tensor, ...]
    there: Tensor  # (N, S): where x has a symbol


class Remembered(NamedTuple):
    """What each decoder block has been told so far."""

    keys: tuple[Tensor, ...]  # (N, W, H, t, d) for each block
    values: tuple[Tensor, ...]
    seen: Tensor | None  # (N, W, S): what the last symbol looked at, mean over heads, in the last block


class Transformer(NextSymbol):
    """Says what comes next in y, having read x if there is a ``source``.

    Args:
        vocabulary: V, symbols of y.
        source: Symbols of x; `None` for no x.
        dim: Length of what stands for a position.
        heads: How many questions a position asks at once; they share ``dim``.
        blocks: Of the decoder, and of the encoder.
        hidden: Units between the two layers of each block's network.
        dropped: Share of units that dropout leaves out.
        norm: "pre" (before each part of a block, and once at the end) or "post" (after its sum, as published).
        places: "sinusoidal" (added to the symbols) or "rotary" (turns questions and keys).
        tied: Whether symbols are predicted by the vectors that they are read by.

    Raises:
        SpaceError: If the heads can't share ``dim`` evenly.
    """

    def __init__(
        self,
        vocabulary: int,
        source: int | None = None,
        dim: int = 256,
        heads: int = 4,
        blocks: int = 3,
        hidden: int = 512,
        dropped: float = 0.1,
        norm: Literal["pre", "post"] = "pre",
        places: Literal["sinusoidal", "rotary"] = "sinusoidal",
        tied: bool = True,
    ) -> None:
        super().__init__(vocabulary)
        if dim % (2 * heads):
            raise SpaceError(
                f"Transformer: wanted heads of an even length that share dim evenly, got {heads} for {dim}."
            )
        self.dim, self.dropped, self.places = dim, dropped, places
        rotary = places == "rotary"
        self.symbols = nn.Embedding(vocabulary + 1, dim)
        nn.init.normal_(self.symbols.weight, std=dim**-0.5)
        self.decoder = nn.ModuleList(
            Block(dim, heads, hidden, dropped, norm, rotary, source is not None) for _ in range(blocks)
        )
        self.encoder: nn.ModuleList | None = None
        if source is not None:
            self.sources = nn.Embedding(source, dim)
            nn.init.normal_(self.sources.weight, std=dim**-0.5)
            self.encoder = nn.ModuleList(Block(dim, heads, hidden, dropped, norm, rotary, False) for _ in range(blocks))
            self.read_norm = nn.LayerNorm(dim) if norm == "pre" else nn.Identity()
        self.last_norm = nn.LayerNorm(dim) if norm == "pre" else nn.Identity()
        self.output = None if tied else nn.Linear(dim, vocabulary + 1)

    def read(self, x: Int64[Tensor, "N S"]) -> Context:
        if self.encoder is None:
            raise SpaceError("Transformer: it was made without a source, so it reads no x.")
        longest = max(1, int((x != NOTHING).sum(1).max())) if len(x) else 1
        x = x[:, :longest]
        there = x != NOTHING
        there[:, 0] = True  # an empty x is one padded position: a softmax over nothing is no number
        h = self._placed(self.sources(x.clamp_min(0)), 0)
        for block in self.encoder:
            h = block(h, there[:, None, None])
        h = self.read_norm(h)
        pairs = [block.across.keys_values(h) for block in self.decoder]  # type: ignore[union-attr]
        return Context(tuple(k for k, _ in pairs), tuple(v for _, v in pairs), there)

    def forward(self, symbols: Int64[Tensor, "N T"], context: Context | None) -> Float[Tensor, "N T V1"]:
        h = self._placed(self.symbols(symbols), 0)
        for i, block in enumerate(self.decoder):
            h = block(
                h, None, None if context is None else (context.keys[i], context.values[i], context.there[:, None, None])
            )
        return self._said(h)

    def begin(self, count: int, width: int, context: Context | None) -> Remembered:
        heads = self.decoder[0].within.heads  # type: ignore[union-attr]
        nothing = self.symbols.weight.new_zeros(count, width, heads, 0, self.dim // heads)  # type: ignore[arg-type]
        return Remembered((nothing,) * len(self.decoder), (nothing,) * len(self.decoder), None)

    def extend(
        self, symbol: Int64[Tensor, "N W"], memory: Remembered, context: Context | None
    ) -> tuple[Float[Tensor, "N W V1"], Remembered]:
        h = self._placed(self.symbols(symbol)[..., None, :], memory.keys[0].shape[-2])
        keys, values, seen = [], [], None
        for i, block in enumerate(self.decoder):
            across = None if context is None else (context.keys[i], context.values[i], context.there)
            h, key, value, seen = block.extend(h, memory.keys[i], memory.values[i], across)  # type: ignore[operator]
            keys.append(key)
            values.append(value)
        return self._said(h[..., 0, :]), Remembered(tuple(keys), tuple(values), seen)

    def attention(self, memory: Remembered) -> Tensor | None:
        return memory.seen

    def _placed(self, h: Tensor, first: int) -> Tensor:
        h = h * math.sqrt(self.dim)
        if self.places == "sinusoidal":
            h = h + waves(h.shape[-2], self.dim, first, h)
        return dropout(h, self.dropped, self.training)

    def _said(self, h: Tensor) -> Tensor:
        h = self.last_norm(h)
        return linear(h, self.symbols.weight) if self.output is None else self.output(h)


class Block(nn.Module):
    """Attention within a sequence, then across to x, then a network at each position; each is added to what went in."""

    def __init__(
        self, dim: int, heads: int, hidden: int, dropped: float, norm: str, rotary: bool, across: bool
    ) -> None:
        super().__init__()
        self.before, self.dropped = norm == "pre", dropped
        self.within = Attention(dim, heads, dropped, rotary)
        self.across = Attention(dim, heads, dropped, False) if across else None
        self.network = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), Dropout(dropped), nn.Linear(hidden, dim))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3 if across else 2))

    def forward(
        self,
        h: Float[Tensor, "N T D"],
        there: Bool[Tensor, "*N T"] | None,
        context: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "N T D"]:
        """All positions at once: they see those that are ``there``, or if that is left out those up to themselves."""

        def within(h: Tensor) -> Tensor:
            return self.within(h, *self.within.keys_values(h), there, causal=there is None)

        h = self._added(0, h, within)
        if self.across is not None and context is not None:
            h = self._added(1, h, lambda h: self.across(h, *context))  # type: ignore[misc]
        return self._added(-1, h, self.network)

    def extend(
        self, h: Float[Tensor, "N W one D"], keys: Tensor, values: Tensor, context: tuple[Tensor, Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """One more position of each sequence; also the keys and values with it, and what it looked at in x."""
        seen = None

        def within(h: Tensor) -> Tensor:
            nonlocal keys, values
            key, value = self.within.keys_values(h, first=keys.shape[-2])
            keys, values = torch.cat([keys, key], -2), torch.cat([values, value], -2)
            return self.within(h, keys, values, None, first=keys.shape[-2] - 1)

        def across(h: Tensor) -> Tensor:
            nonlocal seen
            k, v, there = context  # type: ignore[misc]
            looked, seen = self.across.look(h[..., 0, :], k, v, there)  # type: ignore[union-attr]
            return looked[..., None, :]

        h = self._added(0, h, within)
        if self.across is not None and context is not None:
            h = self._added(1, h, across)
        return self._added(-1, h, self.network), keys, values, seen

    def _added(self, part: int, h: Tensor, function: Any) -> Tensor:
        norm = self.norms[part]
        if self.before:
            return h + dropout(function(norm(h)), self.dropped, self.training)
        return norm(h + dropout(function(h), self.dropped, self.training))


class Attention(nn.Module):
    """Each position asks others through several heads.

    Args:
        dim: Length of what stands for a position.
        heads: H; each has ``dim / H`` numbers.
        dropped: Share of the weights that dropout leaves out.
        rotary: Whether questions and keys are turned by their places.
    """

    def __init__(self, dim: int, heads: int, dropped: float = 0.0, rotary: bool = False) -> None:
        super().__init__()
        self.heads, self.dropped, self.rotary = heads, dropped, rotary
        self.question, self.keys_and_values = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(dim, dim)
        for layer in (self.question, self.output):
            nn.init.xavier_uniform_(layer.weight)
        for half in self.keys_and_values.weight.data.chunk(2):
            nn.init.xavier_uniform_(half)
        for layer in (self.question, self.keys_and_values, self.output):
            nn.init.zeros_(layer.bias)

    def keys_values(self, h: Float[Tensor, "*N S D"], first: int = 0) -> tuple[Tensor, Tensor]:
        """What can be asked of each position, ``(*N, H, S, d)`` twice; the first is at place ``first``."""
        keys, values = (self._split(part) for part in self.keys_and_values(h).chunk(2, -1))
        return (turned(keys, first) if self.rotary else keys), values

    def forward(
        self,
        h: Float[Tensor, "*N T D"],
        keys: Tensor,
        values: Tensor,
        there: Tensor | None,
        *,
        causal: bool = False,
        first: int = 0,
    ) -> Float[Tensor, "*N T D"]:
        """The answers, for positions from place ``first`` on."""
        question = self._split(self.question(h))
        if self.rotary:
            question = turned(question, first)
        dropped = self.dropped if self.training else 0.0
        found = scaled_dot_product_attention(question, keys, values, there, dropped, is_causal=causal)
        return self.output(found.transpose(-3, -2).flatten(-2))

    def look(self, h: Float[Tensor, "N W D"], keys: Tensor, values: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """The answers of a look at x ``(N, W, D)``, and its weights ``(N, W, S)``, mean over heads, 1 at padding."""
        question = self._split(self.question(h))
        weights = (
            (question @ keys.mT / math.sqrt(keys.shape[-1])).masked_fill(~there[:, None, None], -torch.inf).softmax(-1)
        )
        answers = self.output((weights @ values).transpose(-3, -2).flatten(-2))
        return answers, weights.mean(1).masked_fill(~there[:, None], 1.0)

    def _split(self, h: Tensor) -> Tensor:
        return h.unflatten(-1, (self.heads, -1)).transpose(-3, -2)


def waves(count: int, dim: int, first: int, like: Tensor) -> Float[Tensor, "T D"]:
    """Sines and cosines of places, of wavelengths from 2π to 10,000 · 2π (Vaswani et al. 2017, section 3.5)."""
    angle = _angles(count, dim, first, like)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


def turned(h: Float[Tensor, "*N T d"], first: int) -> Float[Tensor, "*N T d"]:
    """Pairs of numbers turned by an angle that grows with the place: products then depend on differences of places alone."""
    angle = _angles(h.shape[-2], h.shape[-1], first, h)
    sine, cosine = angle.sin(), angle.cos()
    even, odd = h[..., ::2], h[..., 1::2]
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(-2)


def _angles(count: int, dim: int, first: int, like: Tensor) -> Tensor:
    place = torch.arange(first, first + count, device=like.device, dtype=torch.float32)
    speed = torch.exp(torch.arange(0, dim, 2, device=like.device, dtype=torch.float32) * (-math.log(10_000) / dim))
    return (place[:, None] * speed).to(like.dtype)
