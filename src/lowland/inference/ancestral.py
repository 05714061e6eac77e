"""Ancestral sampling: draw one symbol after the other, each given those before it.

    y_t ~ p(v | y_1 … y_{t−1}, x)^β / Z        among the k most probable, or the most probable that make up a share p

With β = 1 and nothing left out the sequences are exact draws of exp(−E). Anything else is not a draw of exp(−βE), since every step is
normalised by itself.

Sources: Fan, Lewis & Dauphin, ACL 2018, for the k most probable; Holtzman, Buys, Du, Forbes & Choi, ICLR 2020, for a share of them.
Needs: an energy that is read symbol by symbol, see `stepwise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy, stepwise
from ..errors import SpaceError
from ..spaces import NOTHING
from .beam import check_sequence
from .solver import Info, Solver


class AncestralState(NamedTuple):
    y: Tensor  # (N, T), or (draws, N, T)
    drawn: Tensor  # (N, W, T)
    energies: Tensor  # (N, W), of what was drawn so far
    symbol: Tensor  # (N, W), the last of each; V once it has ended, too
    ended: Tensor  # (N, W)
    memory: Any
    taken: int
    generator: torch.Generator | None


@dataclass(frozen=True)
class Ancestral(Solver):
    """Draw sequences symbol by symbol.

    Attributes:
        draws: How many for each sample; with more than one the value leads with them, ``(draws, *B, T)``.
        beta: Inverse temperature > 0 of each symbol's choice.
        top_k: Only the k most probable symbols are drawn from; 0 for all.
        top_p: Only the most probable symbols, up to this share together, are drawn from; at least one.
    """

    draws: int = 1
    beta: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    samples: ClassVar[bool] = True
    exempt: ClassVar[Mapping[str, str]] = {"unroll": "a choice among symbols has no slope"}
    tried_on: ClassVar[str] = "sequence"

    def __post_init__(self) -> None:
        if self.draws < 1 or not self.beta > 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise SpaceError(
                f"Ancestral: wanted draws ≥ 1, beta > 0, top_k ≥ 0 and top_p in (0, 1], got {self.draws}, {self.beta}, {self.top_k} "
                f"and {self.top_p}."
            )

    def start(self, energy: Energy, known: Mapping[str, Any], generator: torch.Generator | None = None) -> Tensor:
        lead = () if self.draws == 1 else (self.draws,)
        shape = (*lead, *(energy.batch_shape or (1,)), *energy.space.shape)
        return torch.full(shape, NOTHING, dtype=torch.int64, device=energy.device)

    def init(self, energy: Energy, value: Tensor, generator: torch.Generator | None = None) -> AncestralState:
        space, count, width = check_sequence(self, energy), value.shape[-2], value[..., 0].numel() // value.shape[-2]
        symbol = value.new_full((count, width), space.vocabulary)
        reference = energy.reference
        energies = torch.zeros(count, width, device=value.device, dtype=None if reference is None else reference.dtype)
        drawn = value.new_full((count, width, space.length), NOTHING)
        memory = stepwise(energy).begin(count, width)
        return AncestralState(value, drawn, energies, symbol, symbol < 0, memory, 0, generator)

    def step(self, energy: Energy, state: AncestralState) -> tuple[AncestralState, Info]:
        space, at = check_sequence(self, energy), state.taken
        if at <= space.length and not bool(state.ended.all()):
            state = self._drawn(energy, state, space.vocabulary, at)
        y = state.drawn[:, 0] if state.y.ndim == 2 else state.drawn.movedim(1, 0).reshape(state.y.shape)
        energies = state.energies.movedim(1, 0).reshape(y.shape[:-1])
        return state._replace(y=y, taken=at + 1), Info(energies)

    def _drawn(self, energy: Energy, state: AncestralState, end: int, at: int) -> AncestralState:
        costs, memory = stepwise(energy).extend(state.symbol, state.memory)
        if at == state.drawn.shape[-1]:  # nothing but the end may come
            symbol = torch.full_like(state.symbol, end)
        else:
            chance = (-self.beta * self._kept(costs)).softmax(-1)
            # the greatest of chances over exponential variates is each with its chance
            race = torch.empty_like(chance).exponential_(generator=state.generator)
            symbol = (chance / race).argmax(-1).masked_fill(state.ended, end)
        cost = costs.gather(-1, symbol[..., None])[..., 0].masked_fill(state.ended, 0.0)
        ended = state.ended | (symbol == end)
        drawn = state.drawn
        if at < drawn.shape[-1]:
            drawn = drawn.clone()
            drawn[..., at] = symbol.masked_fill(ended, NOTHING)
        return state._replace(drawn=drawn, energies=state.energies + cost, symbol=symbol, ended=ended, memory=memory)

    def _kept(self, costs: Tensor) -> Tensor:
        """The costs of what may be drawn, +∞ for the rest."""
        if 0 < self.top_k < costs.shape[-1]:
            least = costs.topk(self.top_k, largest=False).values[..., -1:]
            costs = costs.masked_fill(costs > least, torch.inf)
        if self.top_p < 1:
            ordered, order = costs.sort(-1)
            share = (-ordered).softmax(-1)
            beyond = share.cumsum(-1) - share >= self.top_p
            costs = costs.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), torch.inf)
        return costs
