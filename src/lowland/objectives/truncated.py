"""Maximum likelihood of endless texts: read piece by piece, each going on where the last one ended.

    L = mean_t −log p(y_t | y_1 … y_{t−1})        the slope goes no further back than the beginning of the piece

A batch holds the next piece of several texts (*streams*). What the network remembers of a stream is handed on to its next piece, so what
it knows reaches back to the beginning, though the slope doesn't (truncated back-propagation through time).

Sources: Williams & Peng, Neural Computation 2 (1990), for the truncation; Mikolov, Karafiát, Burget, Černocký & Khudanpur, Interspeech
2010, for language models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from ..energy import Autoregressive, Energy
from ..errors import StructureError
from ..spaces import NOTHING
from .objective import Loss, Objective, observed


class TruncatedLikelihood(Objective):
    """The mean cost of a symbol, in nats; the end of a piece is the end of nothing. Before the first piece the begin symbol is read.

    Batches must come in order, as many streams in each: ``trainer.fit(…, shuffle=False, drop_last=True)``.

    Args:
        carried: Whether a piece goes on where the last one ended. If not, each is read as if nothing had been before it, in one pass.
    """

    no_collapse = "The probabilities of all symbols add up to 1 at every place: lowering some raises others."
    tried_on: ClassVar[str] = "sequences"

    def __init__(self, carried: bool = True) -> None:
        self.carried = carried
        self._last: Tensor | None = None  # (N,), the last symbol of each stream
        self._memory: list[Any] = []  # of the network, its parts in a row

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        costs = self.costs(energy, batch)
        value = costs.sum() / (batch["y"] != NOTHING).sum().clamp_min(1)
        return Loss(value, {"nats": value.detach()})

    def costs(self, energy: Energy, batch: Mapping[str, Any]) -> Float[Tensor, "N T"]:
        """−log p of each symbol, 0 where there is none.

        Raises:
            StructureError: If the energy does not say what comes next, or the number of streams changes.
        """
        values = observed(energy, batch)
        if not isinstance(energy, Autoregressive):
            raise StructureError(
                f"TruncatedLikelihood: {type(energy).__name__} does not say what comes next at each place; wanted an Autoregressive energy."
            )
        y, network, context = values["y"], energy.network, energy.context(values.get("x"))
        last = (
            self._last if self.carried and self._last is not None else y.new_full((len(y),), energy.sequence.vocabulary)
        )
        if len(last) != len(y):
            raise StructureError(
                f"TruncatedLikelihood: the pieces before were of {len(last)} streams, now there are {len(y)}; wanted as many in every "
                "batch (drop_last=True)."
            )
        read = torch.cat([last[:, None], y[:, :-1].clamp_min(0)], 1)
        if self.carried:
            parts, form = tree_flatten(network.begin(len(y), 1, context))
            logits, memory = network.through(read, tree_unflatten(self._memory or parts, form), context)
            self._last = y[:, -1].clamp_min(0)
            self._memory = [part.detach() if isinstance(part, Tensor) else part for part in tree_leaves(memory)]
        else:
            logits = network(read, context)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(0, 1)
        return cross_entropy(logits, y.flatten(), ignore_index=NOTHING, reduction="none").view(y.shape)

    def state_dict(self) -> dict[str, Any]:
        return {"last": self._last, "memory": list(self._memory)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._last, self._memory = state["last"], list(state["memory"])
