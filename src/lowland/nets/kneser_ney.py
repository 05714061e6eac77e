"""Kneser–Ney smoothing: what comes next, by counting what came after the same few symbols before.

    p_n(v | h) = max(c(h v) − D_c, 0) / c(h ·)  +  γ(h) p_{n−1}(v | h′)        h′: h without its first symbol;  p_0 = 1 / (V + 1)

At the highest order c counts occurrences; below it, c(h v) is the number of different symbols that came before h v, since p_{n−1} is asked
where h was not seen. The discounts D_1, D_2, D_3 (of what was counted once, twice, more often) follow from how many grams were counted so
often, and γ makes p_n add up to 1. Nothing is trained: the counts are the model, and what any network of the same text must beat.

Sources: Kneser & Ney, ICASSP 1995; Chen & Goodman, Computer Speech and Language 13 (1999), section 3 and eq. 26, for three discounts and
interpolation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..energy import NextSymbol
from ..errors import SpaceError


class Level(NamedTuple):
    """The grams of one length; what is before the last symbol is a gram of the level below, by its place there."""

    keys: Tensor  # (G,), sorted: place of the context × (V + 1) + last symbol
    share: Tensor  # (G,): max(c − D, 0) / c(h ·)
    left: Tensor  # (H,): γ of each context


class KneserNey(NextSymbol):
    """Says what comes next by the last few symbols.

    Args:
        text: ``(L,)``, one long text of symbols 0 … V.
        vocabulary: V.
        order: Length of the longest grams that are counted, at least 1.

    Raises:
        SpaceError: If the text is shorter than that, or has other symbols.
    """

    def __init__(self, text: Int64[Tensor, " L"], vocabulary: int, order: int = 5) -> None:
        super().__init__(vocabulary)
        if order < 1 or len(text) < order or int(text.min()) < 0 or int(text.max()) > vocabulary:
            raise SpaceError(
                f"KneserNey: wanted order ≥ 1 and as many symbols or more, 0 to {vocabulary}, got order {order} and {len(text)} symbols."
            )
        self.order = order
        grams, places = self._grams(text)
        self.levels: list[Level] = []
        for n, (keys, times) in enumerate(grams):
            if n + 1 < order:  # how many different symbols came before; before the text's own beginning came none
                before, after = places[n][1:], places[n + 1]
                link = torch.zeros(len(grams[n + 1][0]), dtype=torch.int64).scatter_(0, after, before)
                times = torch.bincount(link, minlength=len(keys)).clamp_min(1)
            contexts = len(grams[n - 1][0]) if n else 1
            self.levels.append(self._smoothed(keys, times.double(), contexts))

    def _grams(self, text: Tensor) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """The different grams of each length with how often they occur; and which ends where in the text."""
        grams, places, context = [], [], torch.zeros(len(text), dtype=torch.int64)
        for n in range(self.order):
            keys, place, times = torch.unique(
                context * (self.vocabulary + 1) + text[n:], return_inverse=True, return_counts=True
            )
            grams.append((keys, times))
            places.append(place)
            context = place[:-1]
        return grams, places

    def _smoothed(self, keys: Tensor, times: Tensor, contexts: int) -> Level:
        context = keys // (self.vocabulary + 1)
        often = times.clamp_max(3).long() - 1
        discount = discounts(times)[often]
        total = torch.zeros(contexts, dtype=torch.float64).scatter_add_(0, context, times)
        given = torch.zeros(contexts, dtype=torch.float64).scatter_add_(0, context, discount)
        left = torch.where(total > 0, given / total.clamp_min(1), 1.0)
        return Level(keys, (times - discount) / total[context], left)

    def costs(self, text: Int64[Tensor, " L"]) -> Float[Tensor, " L"]:
        """−log p of each symbol of a text given those before it, in nats."""
        chance = torch.full((len(text),), 1 / (self.vocabulary + 1), dtype=torch.float64)
        context = torch.zeros(len(text), dtype=torch.int64)  # of each symbol; −1 where it was not seen
        for level in self.levels:
            place = self._find(level, context, text)
            chance = level.left[context.clamp_min(0)].where(context >= 0, 1.0) * chance
            chance = chance + level.share[place.clamp_min(0)].where(place >= 0, 0.0)
            context = torch.cat([place.new_full((1,), -1), place[:-1]])
        return -chance.log().float()

    def chances(self, before: Int64[Tensor, "M n"]) -> Float[Tensor, "M V1"]:
        """p of every symbol after the last n = order − 1; −1 where there was none."""
        symbols = self.vocabulary + 1
        chance = torch.full((len(before), symbols), 1 / symbols, dtype=torch.float64)
        for n, level in enumerate(self.levels):
            context = torch.zeros(len(before), dtype=torch.int64)
            for below, symbol in zip(self.levels, before[:, before.shape[1] - n :].unbind(1), strict=False):
                context = self._find(below, context, symbol)
            known = context >= 0
            chance[known] *= level.left[context[known], None]
            first = torch.searchsorted(level.keys, context[known] * symbols)
            count = torch.searchsorted(level.keys, (context[known] + 1) * symbols) - first
            row = known.nonzero()[:, 0].repeat_interleave(count)
            place = torch.arange(len(row)) + (first - count.cumsum(0) + count).repeat_interleave(count)
            chance[row, level.keys[place] % symbols] += level.share[place]
        return chance

    def forward(self, symbols: Int64[Tensor, "N T"], context: Any = None) -> Float[Tensor, "N T V1"]:
        past = torch.nn.functional.pad(symbols, (self.order - 2, 0), value=-1) if self.order > 1 else symbols
        before = past.unfold(1, max(self.order - 1, 1), 1)[..., 1 - self.order or symbols.shape[1] :]
        return self.chances(before.flatten(0, 1)).log().float().view(*symbols.shape, -1)

    def begin(self, count: int, width: int, context: Any = None) -> Tensor:
        return torch.full((count, width, self.order - 1), -1)

    def extend(self, symbol: Int64[Tensor, "N W"], memory: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        memory = torch.cat([memory, symbol[..., None]], -1)[..., 1:]
        return self.chances(memory.flatten(0, 1)).log().float().view(*symbol.shape, -1), memory

    def _find(self, level: Level, context: Tensor, symbol: Tensor) -> Tensor:
        """Places of grams, −1 where there is no such."""
        wanted = context * (self.vocabulary + 1) + symbol
        place = torch.searchsorted(level.keys, wanted).clamp_max(len(level.keys) - 1)
        return place.where((level.keys[place] == wanted) & (context >= 0) & (symbol >= 0), -1)


def discounts(times: Float[Tensor, " G"]) -> Float[Tensor, " three"]:
    """D_1, D_2 and D_3, from how many grams occur once, twice, three and four times; ½, 1 and 3/2 where there is too little to count."""
    n1, n2, n3, n4 = (float((times == k).sum()) for k in (1, 2, 3, 4))
    if min(n1, n2, n3, n4) == 0:
        return times.new_tensor([0.5, 1.0, 1.5])
    share = n1 / (n1 + 2 * n2)
    found = times.new_tensor([1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3])
    return found.clamp(min=torch.zeros(3).to(found), max=torch.tensor([1.0, 2.0, 3.0]).to(found))
