"""A sequence read from left to right: its energy is minus the logarithm of its probability, one symbol after the other.

    E(x, y) = Σ_t −log p(y_t | y_1 … y_{t−1}, x),      t = 1 … length + 1: the last symbol is the end

The probabilities of all sequences add up to 1 whatever the network says, so that lowering the energy of data is maximum likelihood and
raises everything else (strategy C1). The energy of a whole sequence takes one pass of the network; a decoder asks for one symbol
after the other, and the network remembers what it has read.

Sources: Bengio, Ducharme, Vincent & Jauvin, JMLR 3 (2003), eq. 1; Sutskever, Vinyals & Le, NIPS 2014, eq. 1, for the end symbol.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..errors import SpaceError, StructureError
from ..spaces import NOTHING, Real, Sequence, Space
from .algebra import Scaled, Sum
from .energy import Energy


class NextSymbol(nn.Module):
    """A network that says what comes next; symbols are 0 … V − 1, and V stands for the beginning where it is read, for the end where it
    is predicted.

    What is known (the *context*) and what has been read (the *memory*) are tensors, or tuples of them, that lead with the batch; those of
    the memory with ``(N, W)``: W sequences for each sample.

    Args:
        vocabulary: V.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def read(self, x: Any) -> Any:
        """What there is to know of ``x (N, *x)``, understood once."""
        raise NotImplementedError(f"{type(self).__name__} reads no x: write `read(self, x)`.")

    def forward(self, symbols: Int64[Tensor, "N T"], context: Any) -> Float[Tensor, "N T V1"]:
        """Logits of the symbol after each; the one at t sees symbols up to t alone. The first symbol is V."""
        raise NotImplementedError

    def begin(self, count: int, width: int, context: Any) -> Any:
        """The memory before anything has been read: ``width`` sequences for each of ``count`` samples."""
        raise NotImplementedError

    def extend(self, symbol: Int64[Tensor, "N W"], memory: Any, context: Any) -> tuple[Float[Tensor, "N W V1"], Any]:
        """Logits of what comes after one more symbol, and the memory with it."""
        raise NotImplementedError

    def through(
        self, symbols: Int64[Tensor, "N T"], memory: Any, context: Any = None
    ) -> tuple[Float[Tensor, "N T V1"], Any]:
        """Logits after each of many symbols of one sequence a sample, and the memory of the last: a text is read in pieces.

        Symbol by symbol, unless a network has a faster way.
        """
        said = []
        for symbol in symbols.split(1, 1):
            logits, memory = self.extend(symbol, memory, context)
            said.append(logits)
        return torch.cat(said, 1), memory

    def attention(self, memory: Any) -> Float[Tensor, "N W S"] | None:
        """How much the last symbol looked at each position of x, 1 where there is only padding; `None` if it doesn't look."""
        return None


class Bigram(NextSymbol):
    """What comes next depends on the symbol before, and on x if there is one: logits ``table[symbol] + x``.

    Args:
        vocabulary: V.

    Attributes:
        table: ``(V + 1, V + 1)``, from 0.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__(vocabulary)
        self.table = nn.Parameter(torch.zeros(vocabulary + 1, vocabulary + 1))

    def read(self, x: Tensor) -> Tensor:
        return x

    def forward(self, symbols: Tensor, context: Any) -> Tensor:
        logits = self.table[symbols]
        return logits if context is None else logits + context[:, None]

    def begin(self, count: int, width: int, context: Any) -> tuple[()]:
        return ()

    def extend(self, symbol: Tensor, memory: tuple[()], context: Any) -> tuple[Tensor, tuple[()]]:
        return self(symbol, context), memory


class Autoregressive(Energy):
    """−log p(y | x), symbol by symbol, in nats.

    Args:
        network: Says what comes next.
        y: Space of the sequence.
        x: Space of what is known, if anything is; its values go to the network's `read`.

    Raises:
        SpaceError: If the network has another vocabulary.
    """

    @classmethod
    def example(cls) -> Autoregressive:
        return cls(Bigram(3), Sequence(3, 4), Real(4))

    def __init__(self, network: NextSymbol, y: Sequence, x: Space | None = None) -> None:
        if network.vocabulary != y.vocabulary:
            raise SpaceError(f"Autoregressive: the network knows {network.vocabulary} symbols, y has {y.vocabulary}.")
        super().__init__(**({} if x is None else {"x": x}), y=y)
        self.network, self.sequence = network, y

    def example_values(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        values = super().example_values(count, generator)
        place = torch.arange(self.sequence.length)
        values["y"][place >= torch.randint(self.sequence.length + 1, (count, 1), generator=generator)] = NOTHING
        return values

    def energies(self, y: Tensor, x: Any = None) -> Tensor:
        return self.costs(y, self.context(x)).sum(-1)

    def context(self, x: Any) -> Any:
        """What the network makes of x; `None` if there is no x."""
        return self.network.read(x) if "x" in self.spaces else None

    def costs(self, y: Int64[Tensor, "N T"], context: Any) -> Float[Tensor, "N L"]:
        """−log p of each symbol and of the end, 0 after it, in one pass; L is the longest sequence and its end."""
        logits, wanted = self.predicted(y, context)
        flat = nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=NOTHING, reduction="none"
        )
        return flat.view(wanted.shape)

    def predicted(self, y: Int64[Tensor, "N T"], context: Any) -> tuple[Float[Tensor, "N L V1"], Int64[Tensor, "N L"]]:
        """Logits at every place of y, and the symbol that comes there: V where it ends, −1 after that."""
        length = (y != NOTHING).sum(1)
        longest = int(length.max()) if len(y) else 0
        symbols, first = y[:, :longest].clamp_min(0), y.new_full((len(y), 1), self.sequence.vocabulary)
        logits = self.network(torch.cat([first, symbols], 1), context)
        there = torch.arange(longest + 1, device=y.device) <= length[:, None]
        wanted = torch.cat([y[:, :longest], y.new_full((len(y), 1), NOTHING)], 1)
        wanted = torch.where(there & (wanted == NOTHING), self.sequence.vocabulary, wanted)
        return _wide(logits), wanted

    def given(self, **observed: Any) -> Energy:
        """With x known the network has read it: what is left is to continue."""
        self.known(observed)
        x = observed.pop("x", None)
        if x is None:
            return super().given(**observed)
        batch = self.spaces["x"].batch_shape(x, "x")
        if len(batch) != 1:
            return super().given(x=x, **observed)
        continued = Continued(self, self.context(x), batch)
        return continued.given(**observed) if observed else continued

    def begin(self, count: int, width: int) -> Any:
        """The memory of ``width`` sequences for each of ``count`` samples, before anything is read; without x."""
        return self.network.begin(count, width, None)

    def extend(self, symbol: Int64[Tensor, "N W"], memory: Any) -> tuple[Float[Tensor, "N W V1"], Any]:
        """−log p of every symbol, and of the end, after one more; and the memory with it."""
        logits, memory = self.network.extend(symbol, memory, None)
        return _costs(logits), memory

    def attention(self, memory: Any) -> Tensor | None:
        """See `NextSymbol.attention`."""
        return self.network.attention(memory)


class Continued(Energy):
    """A sequence's energy, x having been read; made by `Autoregressive.given`.

    Args:
        energy: The energy.
        context: What its network made of x.
        batch: Batch shape of x, one dimension.
    """

    @classmethod
    def example(cls) -> Continued:
        return Autoregressive.example().given(x=torch.zeros(1, 4))  # type: ignore[return-value]

    def __init__(self, energy: Autoregressive, context: Any, batch: torch.Size) -> None:
        super().__init__(y=energy.sequence)
        self.energy, self.context, self._batch_shape = energy, context, batch

    @property
    def batch_shape(self) -> torch.Size:
        return self._batch_shape

    @property
    def reference(self) -> Tensor | None:
        return self.energy.reference

    def forward(self, **values: Any) -> Tensor:
        if values.keys() != {"y"}:
            raise self._wrong_names(values.keys())
        batch = torch.broadcast_shapes(self.spaces["y"].batch_shape(values["y"], "y"), self.batch_shape)
        y = values["y"].expand(*batch, -1).flatten(0, -2)
        copies = batch.numel() // self.batch_shape.numel()
        context = self.context
        if copies > 1:
            context = _each(lambda part: part.expand(copies, *part.shape).flatten(0, 1), context)
        return self.energy.costs(y, context).sum(-1).view(batch)

    def select(self, rows: Tensor) -> Energy:
        return Continued(self.energy, _each(lambda part: part[rows], self.context), torch.Size([len(rows)]))

    def begin(self, count: int, width: int) -> Any:
        """See `Autoregressive.begin`."""
        return self.energy.network.begin(count, width, self.context)

    def extend(self, symbol: Tensor, memory: Any) -> tuple[Tensor, Any]:
        """See `Autoregressive.extend`."""
        logits, memory = self.energy.network.extend(symbol, memory, self.context)
        return _costs(logits), memory

    def attention(self, memory: Any) -> Tensor | None:
        """See `NextSymbol.attention`."""
        return self.energy.network.attention(memory)


class Together:
    """Several energies of one sequence, extended side by side: their costs add, so that an ensemble is searched as one.

    Args:
        terms: What to extend, each with its weight.
    """

    def __init__(self, terms: list[tuple[Any, float]]) -> None:
        self.terms = terms

    def begin(self, count: int, width: int) -> tuple[Any, ...]:
        """The memory of each."""
        return tuple(term.begin(count, width) for term, _ in self.terms)

    def extend(self, symbol: Tensor, memory: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
        """The sum of the costs of each, and their memories."""
        steps = [term.extend(symbol, part) for (term, _), part in zip(self.terms, memory, strict=True)]
        costs = [weight * found for (found, _), (_, weight) in zip(steps, self.terms, strict=True)]
        return torch.stack(costs).sum(0), tuple(part for _, part in steps)

    def attention(self, memory: tuple[Any, ...]) -> Tensor | None:
        """The mean of those that look."""
        seen = [
            found
            for (term, _), part in zip(self.terms, memory, strict=True)
            if (found := term.attention(part)) is not None
        ]
        return torch.stack(seen).mean(0) if seen else None


def stepwise(energy: Energy) -> Any:
    """What extends sequences symbol by symbol: an `Autoregressive` energy of y alone, or a weighted sum of such.

    Raises:
        StructureError: If a term sees whole sequences only: search without it, and weigh what was found with it.
    """
    if isinstance(energy, Continued) or (isinstance(energy, Autoregressive) and "x" not in energy.spaces):
        return energy
    if isinstance(energy, Scaled):
        return Together([(stepwise(energy.energy), float(energy.weight))])
    if isinstance(energy, Sum):
        return Together([(stepwise(term), 1.0) for term in energy.terms])
    raise StructureError(
        f"{type(energy).__name__} is not read symbol by symbol: search over the autoregressive terms for the best few, "
        "and add this energy to theirs."
    )


def mixed(first: Float[Tensor, "*N"], second: Float[Tensor, "*N"], share: float) -> Float[Tensor, "*N"]:
    """Costs of symbols, −log p, where two models' probabilities are mixed and the first has this share."""
    return -torch.logaddexp(math.log(share) - first, math.log1p(-share) - second)


def _costs(logits: Tensor) -> Tensor:
    """−log softmax, in the memory of the logarithm where no slope is asked for: vocabularies are large."""
    log = _wide(logits).log_softmax(-1)
    return -log if log.requires_grad else log.neg_()


def _wide(logits: Tensor) -> Tensor:
    """At least single precision: logarithms of probabilities need it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _each(function: Any, parts: Any) -> Any:
    return tree_map(lambda part: function(part) if isinstance(part, Tensor) else part, parts)
