"""A Transformer that writes all symbols at once: how many each symbol of x becomes is said first, its fertility.

    p(z | x) = Π_s p(z_s | x)             z_s = 0 … F: how often symbol s of x is copied
    p(y | x, z) = Π_t p(y_t | x, z)       y has Σ_s z_s symbols; place t begins as the copied symbol of x

What a symbol of y needs to know of the others is in z alone, so that nothing waits for anything. The decoder asks all places, and in
each block once more by place alone (positional attention).

Sources: Gu, Bradbury, Xiong, Li & Socher, Non-Autoregressive Neural Machine Translation, ICLR 2018, section 3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from ..spaces import NOTHING
from .transformer import Attention, Block, waves


class Heard(NamedTuple):
    """What the encoder made of x."""

    symbols: Float[Tensor, "N S D"]  # as they were read, without their places
    h: Float[Tensor, "N S D"]
    there: Bool[Tensor, "N S"]
    fertility: Float[Tensor, "N S F1"]  # log p(z_s | x)


class ParallelTransformer(nn.Module):
    """Says how many symbols each symbol of x becomes, and then all of y at once.

    Args:
        vocabulary: V, symbols of y.
        source: Symbols of x.
        dim: Length of what stands for a position.
        heads: How many questions a position asks at once; they share ``dim``.
        blocks: Of the decoder, and of the encoder.
        hidden: Units between the two layers of each block's network.
        dropped: Share of units that dropout leaves out.
        most: F, the largest fertility.
    """

    def __init__(
        self,
        vocabulary: int,
        source: int,
        dim: int = 256,
        heads: int = 4,
        blocks: int = 3,
        hidden: int = 512,
        dropped: float = 0.1,
        most: int = 8,
    ) -> None:
        super().__init__()
        self.vocabulary, self.dim, self.dropped, self.most = vocabulary, dim, dropped, most
        self.sources, self.symbols = nn.Embedding(source, dim), nn.Embedding(vocabulary, dim)
        for embedding in (self.sources, self.symbols):
            nn.init.normal_(embedding.weight, std=dim**-0.5)
        self.encoder = nn.ModuleList(Block(dim, heads, hidden, dropped, "pre", False, False) for _ in range(blocks))
        self.decoder = nn.ModuleList(Block(dim, heads, hidden, dropped, "pre", False, True) for _ in range(blocks))
        self.by_place = nn.ModuleList(Attention(dim, heads, dropped) for _ in range(blocks))
        self.place_norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(blocks))
        self.read_norm, self.last_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.fertility = nn.Linear(dim, most + 1)

    def read(self, x: Int64[Tensor, "N S"]) -> Heard:
        """Understand x, and say how often each of its symbols is to be copied; padding never is."""
        longest = max(1, int((x != NOTHING).sum(1).max())) if len(x) else 1
        x = x[:, :longest]
        there = x != NOTHING
        there[:, 0] = True  # an empty x is one padded position: a softmax over nothing is no number
        symbols = self.sources(x.clamp_min(0)) * math.sqrt(self.dim)
        h = dropout(symbols + waves(longest, self.dim, 0, symbols), self.dropped, self.training)
        for block in self.encoder:
            h = block(h, there[:, None, None])
        h = self.read_norm(h)
        fertility = self.fertility(h).float().log_softmax(-1)
        none = fertility.new_full((self.most + 1,), -torch.inf)
        none[0] = 0.0
        return Heard(symbols, h, there, torch.where((x != NOTHING)[..., None], fertility, none))

    def forward(self, heard: Heard, z: Int64[Tensor, "N S"]) -> Float[Tensor, "N T V"]:
        """Logits of the symbols of y, T the longest; those after a sequence's last mean nothing.

        Args:
            heard: What `read` gave.
            z: How often each symbol of x is copied, 0 where there is none.
        """
        z = z[:, : heard.h.shape[1]]
        copied, there = copies(z)
        h = heard.symbols.gather(1, copied[..., None].expand(-1, -1, self.dim))
        places = waves(h.shape[1], self.dim, 0, h)
        h = dropout(h + places, self.dropped, self.training)
        there[:, 0] = True
        asked = places.expand_as(h)
        for block, by_place, norm in zip(self.decoder, self.by_place, self.place_norms, strict=True):
            keys = by_place.keys_values(asked)[0]  # type: ignore[operator]
            values = by_place.keys_values(norm(h))[1]  # type: ignore[operator]
            h = h + dropout(by_place(asked, keys, values, there[:, None, None]), self.dropped, self.training)
            context = (*block.across.keys_values(heard.h), heard.there[:, None, None])  # type: ignore[union-attr, operator]
            h = block(h, there[:, None, None], context)
        return linear(self.last_norm(h), self.symbols.weight)


def copies(z: Int64[Tensor, "N S"]) -> tuple[Int64[Tensor, "N T"], Bool[Tensor, "N T"]]:
    """Which symbol of x each place of y copies, and which places there are: symbol s takes z_s places after those before it."""
    ends = z.cumsum(1)
    length = ends[:, -1]
    place = torch.arange(max(1, int(length.max()) if len(z) else 1), device=z.device).expand(len(z), -1).contiguous()
    copied = torch.searchsorted(ends, place, right=True).clamp_max(z.shape[1] - 1)
    return copied, place < length[:, None]
