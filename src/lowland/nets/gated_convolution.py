"""Gated convolutions over a sequence: every position sees a stretch around it, and all of them are computed at once.

    h ← √½ (h + A ⊗ σ(B)),   [A, B] = convolution of the h before it          GLU: one half decides how much of the other passes

A decoder sees what came before alone; each of its blocks attends to x. Dilations 1, 2, 4, … let the stretch grow exponentially with depth.

Sources: Gehring, Auli, Grangier, Yarats & Dauphin, ICML 2017, sections 3.1–3.5 (ConvS2S); Dauphin, Fan, Auli & Grangier, ICML 2017 (GLU);
Kalchbrenner et al., Neural Machine Translation in Linear Time (2016) (dilated causal convolutions).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import glu, linear, pad

from ..energy import NextSymbol
from ..errors import SpaceError
from ..spaces import NOTHING
from .dropout import dropout

_HALF = math.sqrt(0.5)


class Encoded(NamedTuple):
    """What the encoder made of x."""

    keys: Tensor  # (N, S, D)
    values: Tensor  # (N, S, D): keys and symbols together
    there: Tensor  # (N, S): where x has a symbol


class Stretch(NamedTuple):
    """What the decoder's blocks still see of the past."""

    past: tuple[Tensor, ...]  # (N, W, D, reach) for each block
    place: Tensor  # (N, W): how many symbols were read
    seen: Tensor | None  # (N, W, S): mean over blocks


class GatedConvolution(NextSymbol):
    """Says what comes next in y, having read x if there is a ``source``.

    Args:
        vocabulary: V, symbols of y.
        source: Symbols of x; `None` for no x.
        dim: Channels.
        size: Positions that one convolution sees; odd if there is a source.
        dilations: Steps between those, for each block of the decoder; the encoder has as many, without gaps.
        longest: Places that have a vector of their own.
        dropped: Share of units that dropout leaves out.

    Raises:
        SpaceError: If the size is even and there is a source.
    """

    def __init__(
        self,
        vocabulary: int,
        source: int | None = None,
        dim: int = 256,
        size: int = 3,
        dilations: tuple[int, ...] = (1, 1, 1, 1),
        longest: int = 256,
        dropped: float = 0.2,
    ) -> None:
        super().__init__(vocabulary)
        if source is not None and size % 2 == 0:
            raise SpaceError(
                f"GatedConvolution: a convolution over x looks equally far both ways; wanted an odd size, got {size}."
            )
        self.dropped, self.longest = dropped, longest
        self.symbols, self.places = nn.Embedding(vocabulary + 1, dim), nn.Embedding(longest, dim)
        self.decoder = nn.ModuleList(GatedBlock(dim, size, step, dropped) for step in dilations)
        self.encoder: nn.ModuleList | None = None
        if source is not None:
            self.sources, self.source_places = nn.Embedding(source, dim), nn.Embedding(longest, dim)
            self.encoder = nn.ModuleList(GatedBlock(dim, size, 1, dropped) for _ in dilations)
            self.questions = nn.ModuleList(nn.Linear(dim, dim) for _ in dilations)
            self.answers = nn.ModuleList(nn.Linear(dim, dim) for _ in dilations)
        for table in (m for m in self.modules() if isinstance(m, nn.Embedding)):
            nn.init.normal_(table.weight, std=0.1)
        self.output = nn.Linear(dim, vocabulary + 1)

    def read(self, x: Int64[Tensor, "N S"]) -> Encoded:
        if self.encoder is None:
            raise SpaceError("GatedConvolution: it was made without a source, so it reads no x.")
        longest = max(1, int((x != NOTHING).sum(1).max())) if len(x) else 1
        x = x[:, :longest]
        there = x != NOTHING
        symbols = self._at(self.sources(x.clamp_min(0)), self.source_places, torch.arange(longest, device=x.device))
        h = symbols * there[..., None]
        for block in self.encoder:
            h = block.both_ways(h) * there[..., None]  # type: ignore[operator]
        there = there.clone()  # the products above remember it
        there[:, 0] = True  # an empty x is one padded position: a softmax over nothing is no number
        return Encoded(h, (h + symbols) * _HALF, there)

    def forward(self, symbols: Int64[Tensor, "N T"], context: Encoded | None) -> Float[Tensor, "N T V1"]:
        here = self._at(self.symbols(symbols), self.places, torch.arange(symbols.shape[1], device=symbols.device))
        h = here
        for i, block in enumerate(self.decoder):
            convolved = block.after(pad(h.mT, (block.reach, 0))).mT  # type: ignore[operator]
            h = block.joined(h, self._asked(i, convolved, here, context)[0])  # type: ignore[operator]
        return self.output(dropout(h, self.dropped, self.training))

    def begin(self, count: int, width: int, context: Encoded | None) -> Stretch:
        weight = self.symbols.weight
        past = tuple(weight.new_zeros(count, width, weight.shape[1], block.reach) for block in self.decoder)  # type: ignore[arg-type]
        return Stretch(past, torch.zeros(count, width, dtype=torch.int64, device=weight.device), None)

    def extend(
        self, symbol: Int64[Tensor, "N W"], memory: Stretch, context: Encoded | None
    ) -> tuple[Float[Tensor, "N W V1"], Stretch]:
        here = self._at(self.symbols(symbol), self.places, memory.place)
        h, past, seen = here, [], []
        for i, block in enumerate(self.decoder):
            window = torch.cat([memory.past[i], h[..., None]], -1)
            past.append(window[..., 1:])
            convolved = block.after(window.flatten(0, 1))[..., 0].view(h.shape)  # type: ignore[operator]
            asked, weights = self._asked(i, convolved, here, context)
            h = block.joined(h, asked)  # type: ignore[operator]
            seen.append(weights)
        looked = None if context is None else torch.stack(seen).mean(0)
        return self.output(dropout(h, self.dropped, self.training)), Stretch(tuple(past), memory.place + 1, looked)

    def attention(self, memory: Stretch) -> Tensor | None:
        return memory.seen

    def _at(self, h: Tensor, places: nn.Embedding, place: Tensor) -> Tensor:
        return dropout(h + places(place.clamp_max(self.longest - 1)), self.dropped, self.training)

    def _asked(
        self, i: int, h: Float[Tensor, "N T D"], here: Float[Tensor, "N T D"], context: Encoded | None
    ) -> tuple[Float[Tensor, "N T D"], Tensor | None]:
        """What a block's output becomes by looking at x, and where it looked, 1 at padding."""
        if context is None:
            return h, None
        question = (self.questions[i](h) + here) * _HALF
        weights = (question @ context.keys.mT).masked_fill(~context.there[:, None], -torch.inf).softmax(-1)
        count = context.there.sum(1).to(h.dtype)[:, None, None]
        looked = self.answers[i](weights @ context.values * count.sqrt())  # the sum of m values, not their mean
        return (h + looked) * _HALF, weights.masked_fill(~context.there[:, None], 1.0)


class GatedBlock(nn.Module):
    """A convolution whose one half gates the other, added to what went in.

    Args:
        dim: Channels.
        size: Positions that it sees.
        step: Between two of those.
        dropped: Share of what goes in that dropout leaves out.
    """

    def __init__(self, dim: int, size: int, step: int, dropped: float) -> None:
        super().__init__()
        self.dropped, self.step, self.reach = dropped, step, step * (size - 1)
        self.weight = nn.Parameter(torch.randn(2 * dim, dim, size) * math.sqrt(4 * (1 - dropped) / (size * dim)))
        self.bias = nn.Parameter(torch.zeros(2 * dim))

    def after(self, h: Float[Tensor, "N D T"]) -> Float[Tensor, "N D L"]:
        """Gated, for every window of ``reach + 1`` positions."""
        h = dropout(h, self.dropped, self.training)
        if h.shape[-1] == self.reach + 1:  # one window: a product
            return glu(linear(h[..., :: self.step].flatten(1), self.weight.flatten(1), self.bias), 1)[..., None]
        return glu(nn.functional.conv1d(h, self.weight, self.bias, dilation=self.step), 1)

    def both_ways(self, h: Float[Tensor, "N S D"]) -> Float[Tensor, "N S D"]:
        """A block of the encoder."""
        half = self.reach // 2
        return self.joined(h, self.after(pad(h.mT, (half, half))).mT)

    def joined(self, h: Tensor, gated: Tensor) -> Tensor:
        """What went in and what came out, of the same variance as either."""
        return (h + gated) * _HALF
