"""Guards of training by sampling: what is done before, when and after a chain runs away.

    energies      + w mean (E(data)² + E(chains)²): nothing ties an energy that is only compared with itself to zero
    steps         a rate that makes chains run away is halved and grows back; one that proposes is tuned to its best acceptance
    chains        one that leaves the range of energies it began in by ``limit``, or is not finite, begins again at the data
    weights       if that doesn't help they go back to the last good ones; if that doesn't, training stops with those in place

Sources: Du & Mordatch, Implicit Generation and Modeling with Energy-Based Models, NeurIPS 2019, section 3.3, for the energies;
Andrieu & Thoms, Statistics and Computing 18 (2008), algorithm 2, for tuning.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import DivergenceError, SpaceError
from ..inference import MALA, Solver

#: Fractions of proposals to take: optimal in high dimension, as in `lowland.inference.adapt`.
_ACCEPT_MALA, _ACCEPT_HMC = 0.574, 0.651


class Negatives(NamedTuple):
    """What the chains ended with: values ``(M, *event)``, and their energies ``(M)`` with a graph to the parameters."""

    value: Tensor
    energy: Tensor


class Guard:
    """Runs the chains of a sampled objective and watches them.

    Args:
        regularization: w ≥ 0, in 1 / (units of energy). By default 0.01 where the variable can run to infinity, and 0 for finite ones,
            whose energies are tied by their parameters: there it would only shift the optimum.
        limit: How far, in units of energy, a chain may leave the range spanned by the data and its start.
        tries: How often the chains that ran away begin again, each time at half the rate, before the weights are blamed.
        keep_every: Steps between two copies of the weights.
        rollbacks: How often in a row the weights may go back before training stops; of several processes, none may.
    """

    def __init__(
        self,
        regularization: float | None = None,
        limit: float = 1e3,
        tries: int = 3,
        keep_every: int = 100,
        rollbacks: int = 3,
    ) -> None:
        if not limit > 0 or (regularization is not None and regularization < 0):
            raise SpaceError(f"Guard: wanted limit > 0 and regularization ≥ 0, got {limit} and {regularization}.")
        if tries < 0 or rollbacks < 0 or keep_every < 1:
            raise SpaceError(
                f"Guard: wanted tries ≥ 0, rollbacks ≥ 0 and keep_every ≥ 1, got {tries}, {rollbacks} and {keep_every}."
            )
        self.regularization, self.limit, self.tries = regularization, limit, tries
        self.keep_every, self.rollbacks = keep_every, rollbacks
        self.step, self.factor, self._left = 0, 1.0, rollbacks
        self._good: list[
            tuple[int, dict[str, Tensor]]
        ] = []  # the older one first: the newer may be on its way down already

    def weight(self, energy: Energy) -> float:
        """The weight of the energies' squares for this energy of one variable."""
        if self.regularization is not None:
            return self.regularization
        return 0.0 if energy.space.finite else 0.01

    def sample(
        self,
        sampler: Solver,
        energy: Energy,
        start: Tensor,
        steps: int,
        data: Tensor,
        owner: Energy,
        pushed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Negatives, Tensor]:
        """Run chains, and look at where they end.

        Args:
            sampler: How a chain moves.
            energy: An energy of one variable.
            start: ``(M, *event)``, where the chains begin.
            steps: How far they go.
            data: ``(N, *event)``: a chain that ran away begins again at one of them.
            owner: Holds the parameters that go back.
            pushed: While chains move, they are in this context: other weights, for instance.

        Returns:
            The chains' ends, and the energies of the data ``(N)``, both with graphs to the parameters.

        Raises:
            DivergenceError: If chains or energies run away and neither smaller steps nor earlier weights help. It says at which step and
                energy, and the owner holds the last good weights.
        """
        self.step += 1
        while True:
            found = self._sample(sampler, energy, start, steps, data, pushed)
            if isinstance(found, tuple):
                self._keep(owner)
                return found
            self._roll_back(owner, sampler, found)

    def _sample(
        self,
        sampler: Solver,
        energy: Energy,
        start: Tensor,
        steps: int,
        data: Tensor,
        pushed: Callable[[], AbstractContextManager[None]],
    ) -> tuple[Negatives, Tensor] | float:
        """The chains' ends and the energies of the data, or the energy of one that ran away at every try."""
        worst = math.nan
        for _ in range(self.tries + 1):
            with pushed():
                value, began, accepted = _run(self._tuned(sampler), energy, start, steps)
            energies, ends = _values(energy, data, value)
            with torch.no_grad():
                looks = [energies.min(), energies.max(), began.min(), began.max(), ends.min(), ends.max(), value.sum()]
                low, high, first_low, first_high, last_low, last_high, total = torch.stack(looks).tolist()
                if not math.isfinite(low + high):
                    return high if math.isfinite(low) else low
                bottom, top = min(low, first_low) - self.limit, max(high, first_high) + self.limit
                away = None  # as a rule no chain is, and there is no need to look at each of them
                if not (bottom <= last_low and last_high <= top and math.isfinite(total)):
                    away = ~((ends >= bottom) & (ends <= top)) | ~value.flatten(1).isfinite().all(1)
                if away is None or not bool(away.any()):
                    self._adapt(sampler, accepted)
                    return Negatives(value, ends), energies
                worst = float(ends[away][0])
                again = data[torch.arange(len(start), device=data.device) % len(data)]
                start = torch.where(away.reshape(-1, *[1] * (start.ndim - 1)), again, start)
            if hasattr(sampler, "rate"):
                self.factor *= 0.5
        return worst

    def _tuned(self, sampler: Solver) -> Solver:
        rate = getattr(sampler, "rate", None)
        if rate is None or self.factor == 1:
            return sampler
        return dataclasses.replace(sampler, rate=rate * self.factor)  # type: ignore[type-var]

    def _adapt(self, sampler: Solver, accepted: Tensor | None) -> None:
        if accepted is None:
            self.factor = min(1.0, 1.02 * self.factor)
            return
        target = _ACCEPT_MALA if isinstance(sampler, MALA) else _ACCEPT_HMC
        self.factor *= math.exp(0.1 * (float(accepted) - target))

    def _keep(self, owner: Energy) -> None:
        if not self._good or self.step - self._good[-1][0] >= self.keep_every:
            weights = {name: parameter.detach().clone() for name, parameter in owner.named_parameters()}
            self._good = [*self._good[-1:], (self.step, weights)]
            self._left = self.rollbacks

    @torch.no_grad()
    def _roll_back(self, owner: Energy, sampler: Solver, energy: float) -> None:
        who = type(sampler).__name__
        said = f"{who}: a chain or a sample has run away at training step {self.step}, with energy {energy:g}"
        if not self._good:
            raise DivergenceError(
                f"{said}, before any good step: lower the sampler's rate, or look at the data's scale."
            )
        step, weights = self._good[0]
        for name, parameter in owner.named_parameters():
            parameter.data.copy_(weights[name])  # not seen by autograd: other terms of a sum may hold a graph
        if self._left == 0 or _several_processes():  # which would go on from different weights
            raise DivergenceError(
                f"{said}, after {self.rollbacks - self._left} returns to earlier weights: the weights are those of step {step} again; "
                "lower the rate of the optimiser or of the sampler, or regularise the energy more."
            )
        self._left -= 1

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "factor": self.factor, "left": self._left, "good": list(self._good)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step, self.factor, self._left = state["step"], state["factor"], state["left"]
        self._good = [(step, dict(weights)) for step, weights in state["good"]]


@torch.no_grad()
def _run(sampler: Solver, energy: Energy, start: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ends, energies at the start, and the fraction of proposals taken: `solve` without what chains don't need."""
    state, info = sampler.step(energy, sampler.init(energy, start))
    began, accepted = info.energy, [info.accepted]
    for _ in range(steps - 1):
        state, info = sampler.step(energy, state)
        accepted.append(info.accepted)
    taken = [each for each in accepted if each is not None]
    return state[0], began, torch.stack(taken).to(began.dtype).mean() if taken else None


def _several_processes() -> bool:
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _values(energy: Energy, data: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Energies of the data and of the chains' ends, in one call: forwards and backwards it costs less than two."""
    if energy.batch_shape:
        return energy.value(data), energy.value(ends)
    energies, last = energy.value(torch.cat([data, ends])).split([len(data), len(ends)])
    return energies, last
