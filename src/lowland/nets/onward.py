"""To go on with a text: what was before is read once, and what comes next is said from there.

p(y_t | y_1 … y_{t−1}, x)        x: the text so far, which needs no end
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils._pytree import tree_map

from ..energy import NextSymbol
from ..errors import SpaceError
from ..spaces import NOTHING


class Read(NamedTuple):
    """What there is to know of the text so far."""

    last: Tensor  # (N,), its last symbol, which no one has answered yet
    memory: Any  # of the network, of one sequence a sample


class Onward(NextSymbol):
    """Says what comes next after a text x, as a network says it that was made to read texts from their beginning.

    Args:
        network: Reads no x of its own; it is shared, not copied.
    """

    def __init__(self, network: NextSymbol) -> None:
        super().__init__(network.vocabulary)
        self.network = network

    def read(self, x: Int64[Tensor, "N S"]) -> Read:
        """The texts have to be equally long: none of them is padded more than another.

        Raises:
            SpaceError: If they are not.
        """
        length = (x != NOTHING).sum(1)
        if len(length) and bool((length != length[0]).any()):
            raise SpaceError(
                f"Onward: wanted texts of one length, got {int(length.min())} to {int(length.max())} symbols; go on with one at a time."
            )
        first = x.new_full((len(x), 1), self.vocabulary)
        told = torch.cat([first, x[:, : int(length[0]) if len(length) else 0]], 1)
        memory = self.network.begin(len(x), 1, None)
        if told.shape[1] > 1:
            memory = self.network.through(told[:, :-1], memory)[1]
        return Read(told[:, -1], memory)

    def forward(self, symbols: Int64[Tensor, "N T"], context: Read) -> Float[Tensor, "N T V1"]:
        return self.network.through(torch.cat([context.last[:, None], symbols[:, 1:]], 1), context.memory)[0]

    def begin(self, count: int, width: int, context: Read) -> Read:
        memory = tree_map(
            lambda part: part.expand(-1, width, *part.shape[2:]) if isinstance(part, Tensor) else part, context.memory
        )
        return Read(context.last[:, None].expand(-1, width), memory)

    def extend(self, symbol: Int64[Tensor, "N W"], memory: Read, context: Read) -> tuple[Float[Tensor, "N W V1"], Read]:
        symbol = torch.where(symbol == self.vocabulary, memory.last, symbol)  # where y begins, the text goes on
        logits, inner = self.network.extend(symbol, memory.memory, None)
        return logits, Read(memory.last, inner)
