"""Recurrent networks that say what comes next: a state carries what was read, and attention looks back at x.

    h_t = LSTM(y_t, h_{t−1})         c_t = Σ_s a_ts k_s,   a_t = softmax_s score(h_t, k_s)         logits = V tanh(W [h_t, c_t])

Without attention all that is known of x is the state that the decoder begins in: a vector of fixed length, which long sentences don't fit.

Sources: Sutskever, Vinyals & Le, NIPS 2014 (encoder–decoder; x read backwards); Bahdanau, Cho & Bengio, ICLR 2015 (additive score);
Luong, Pham & Manning, EMNLP 2015, section 3.1 (dot score, and attention after the recurrence); Zaremba, Sutskever & Vinyals (2014)
(dropout between layers only); Press & Wolf, EACL 2017 (tied symbols).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..energy import NextSymbol
from ..errors import SpaceError
from ..spaces import NOTHING
from .dropout import dropout


class Read(NamedTuple):
    """What the encoder made of x."""

    first: tuple[Tensor, ...]  # states that the decoder begins in, (N, L, H) each
    keys: Tensor  # (N, S, H), what attention looks at
    there: Tensor  # (N, S): where x has a symbol


class State(NamedTuple):
    """What the decoder remembers."""

    cells: tuple[Tensor, ...]  # (N, W, L, H): the hidden state, and the cell of an LSTM
    seen: Tensor | None  # (N, W, S): what the last symbol looked at


class Recurrent(NextSymbol):
    """Says what comes next in y, having read x if there is a ``source``.

    Args:
        vocabulary: V, symbols of y.
        source: Symbols of x; `None` for no x.
        dim: Length of what stands for a symbol; with ``tied`` also the length of a state.
        hidden: H, units of each layer.
        layers: L.
        cell: "LSTM" or "GRU".
        attention: How states and positions of x are compared: "dot", "additive", or `None`, not at all.
        dropped: Share of units that dropout leaves out, between layers only.
        backwards: Whether x is read backwards alone, as Sutskever et al. do; else both ways.
        tied: Whether symbols are predicted by the vectors that they are read by.

    Raises:
        SpaceError: If ``tied`` and ``dim`` is not ``hidden``, or there is attention and no source.
    """

    def __init__(
        self,
        vocabulary: int,
        source: int | None = None,
        dim: int = 256,
        hidden: int = 256,
        layers: int = 1,
        cell: Literal["LSTM", "GRU"] = "LSTM",
        attention: Literal["dot", "additive"] | None = None,
        dropped: float = 0.2,
        backwards: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__(vocabulary)
        if tied and dim != hidden:
            raise SpaceError(f"Recurrent: tied symbols need dim = hidden, got {dim} and {hidden}.")
        if attention is not None and source is None:
            raise SpaceError("Recurrent: there is no x to attend to; give a source, or no attention.")
        self.source, self.backwards, self.dropped, self.attends = source, backwards, dropped, attention is not None
        kind = getattr(nn, cell)
        between = dropped if layers > 1 else 0.0
        self.symbols = nn.Embedding(vocabulary + 1, dim)
        self.decoder = kind(dim, hidden, layers, batch_first=True, dropout=between)
        if source is not None:
            ways = 1 if backwards else 2
            self.sources = nn.Embedding(source, dim)
            self.encoder = kind(dim, hidden, layers, batch_first=True, dropout=between, bidirectional=ways == 2)
            self.first = nn.ModuleList(nn.Linear(ways * hidden, hidden) for _ in range(2 if cell == "LSTM" else 1))
            self.keys = nn.Linear(ways * hidden, hidden) if attention is not None else None
        if attention == "additive":
            self.compare = nn.Linear(hidden, hidden, bias=False)
            self.score = nn.Linear(hidden, 1, bias=False)
        self.kind_of_attention = attention
        self.join = nn.Linear(2 * hidden, hidden) if attention is not None else None
        self.output = None if tied else nn.Linear(hidden, vocabulary + 1)

    def read(self, x: Int64[Tensor, "N S"]) -> Read:
        if self.source is None:
            raise SpaceError("Recurrent: it was made without a source, so it reads no x.")
        length = (x != NOTHING).sum(1).clamp_min(1).cpu()
        longest = int(length.max()) if len(x) else 1
        x, there = x[:, :longest].clamp_min(0), torch.arange(longest) < length[:, None]
        if self.backwards:
            place = (length[:, None] - 1 - torch.arange(longest)).clamp_min(0).to(x.device)
            x = x.gather(1, place)
        h = dropout(self.sources(x), self.dropped, self.training)
        packed, last = self.encoder(pack_padded_sequence(h, length, batch_first=True, enforce_sorted=False))
        states, _ = pad_packed_sequence(packed, batch_first=True, total_length=longest)
        ends = [
            part.unflatten(0, (self.encoder.num_layers, -1)).permute(2, 0, 1, 3).flatten(2) for part in _parts(last)
        ]
        first = tuple(torch.tanh(layer(end)) for layer, end in zip(self.first, ends, strict=True))
        keys = states if self.keys is None else self.keys(states)
        return Read(first, keys, there.to(x.device))

    def forward(self, symbols: Int64[Tensor, "N T"], context: Read | None) -> Float[Tensor, "N T V1"]:
        return self.through(symbols, self.begin(len(symbols), 1, context), context)[0]

    def through(
        self, symbols: Int64[Tensor, "N T"], memory: State, context: Read | None = None
    ) -> tuple[Float[Tensor, "N T V1"], State]:
        """Logits after each of many symbols, and the memory of the last: a text may be read in pieces, a state handed on."""
        cells = [part[:, 0].transpose(0, 1).contiguous() for part in memory.cells]
        h = dropout(self.symbols(symbols), self.dropped, self.training)
        h, last = self.decoder(h, tuple(cells) if len(cells) == 2 else cells[0])
        said, seen = self._said(h, context)
        parts = tuple(part.transpose(0, 1)[:, None] for part in _parts(last))
        return said, State(parts, None if seen is None else seen[:, -1:])

    def begin(self, count: int, width: int, context: Read | None) -> State:
        if context is not None:
            return State(tuple(part[:, None].expand(-1, width, -1, -1) for part in context.first), None)
        shape = count, width, self.decoder.num_layers, self.decoder.hidden_size
        parts = 2 if isinstance(self.decoder, nn.LSTM) else 1
        return State(tuple(self.symbols.weight.new_zeros(shape) for _ in range(parts)), None)

    def extend(
        self, symbol: Int64[Tensor, "N W"], memory: State, context: Read | None
    ) -> tuple[Float[Tensor, "N W V1"], State]:
        cells = [part.flatten(0, 1).transpose(0, 1).contiguous() for part in memory.cells]
        h = dropout(self.symbols(symbol.flatten())[:, None], self.dropped, self.training)
        h, last = self.decoder(h, tuple(cells) if len(cells) == 2 else cells[0])
        said, seen = self._said(h.view(*symbol.shape, -1), context)
        return said, State(tuple(part.transpose(0, 1).unflatten(0, symbol.shape) for part in _parts(last)), seen)

    def attention(self, memory: State) -> Tensor | None:
        return memory.seen

    def _said(self, h: Float[Tensor, "N T H"], context: Read | None) -> tuple[Tensor, Tensor | None]:
        """Logits, and what each state looked at in x, 1 where there is only padding."""
        seen = None
        if self.join is not None and context is not None:
            scores = self._scores(h, context.keys).masked_fill(~context.there[:, None], -torch.inf)
            weights = scores.softmax(-1)
            h = torch.tanh(self.join(torch.cat([h, weights @ context.keys], -1)))
            seen = weights.masked_fill(~context.there[:, None], 1.0)
        h = dropout(h, self.dropped, self.training)
        return (linear(h, self.symbols.weight) if self.output is None else self.output(h)), seen

    def _scores(self, h: Float[Tensor, "N T H"], keys: Float[Tensor, "N S H"]) -> Float[Tensor, "N T S"]:
        if self.kind_of_attention == "dot":
            return h @ keys.mT
        return self.score(torch.tanh(self.compare(h)[:, :, None] + keys[:, None])).squeeze(-1)


def _parts(last: Any) -> tuple[Tensor, ...]:
    return last if isinstance(last, tuple) else (last,)
