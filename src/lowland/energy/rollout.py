"""The energy of a plan: what it costs to act like this from here, as far as a world model can tell.

    E(s, a) = Σ_t γᵗ C(s[t], a[t]) + γᵀ F(s[T])     s[0] = s,  s[t+1] = g(s[t], a[t], z[t]),  mean over versions of g
            + u Σ_t U[t]                              U[t]: by how much the versions disagree about the cost at t
            + max over versions of Σ_t H(s[t], a[t])  what must not happen, fixed by hand

Planning is ``minimize("a")``; an agent that plans anew in every step is `lowland.inference.RecedingHorizon`.

Sources: Bryson & Ho, Applied Optimal Control (1975), ch. 2; Henaff, Canziani & LeCun, ICLR 2019, eq. 4, for the uncertainty cost.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import StructureError, VariableError
from ..spaces import Real, Space
from .costs import QuadraticCost
from .energy import Energy
from .world_model import KnownModel, WorldModel, over_time


class Rollout(Energy):
    """What a plan costs: an energy of the first state ``s`` and of the actions ``a (T, *A)`` (and of ``z (T, *Z)``, if there is one).

    A cost's other variables (a goal, say) become variables of the plan's energy: one value for the whole plan.

    Args:
        model: g.
        cost: C, an energy of one step: of ``s``, of ``a`` or of both; ``None`` where only the end counts.
        horizon: T, how many actions a plan has.
        final: F, an energy of the last state ``s``.
        hardwired: H, an energy of one step that no training may change: it has no parameters to learn, no weight, and counts
            in the version of the future where it is worst. It may forbid: +∞.
        uncertainty: u ≥ 0, in units of energy per variance of a step's cost; per deviation from the usual, once calibrated.
        discount: γ in (0, 1], per step.
        checkpoint: As for `WorldModel.rollout`.

    Attributes:
        usual: ``(2, T)``, mean and deviation of the disagreement at each step on recorded data; 0 and 1 until `calibrate`.

    Raises:
        StructureError: If nothing costs anything, what is hardwired could learn, or the versions of a sure model should disagree.
        VariableError: If a cost has variables that a plan does not have.
    """

    broadcasts = True
    usual: Tensor

    def __init__(
        self,
        model: WorldModel,
        cost: Energy | None,
        horizon: int,
        *,
        final: Energy | None = None,
        hardwired: Energy | None = None,
        uncertainty: float = 0.0,
        discount: float = 1.0,
        checkpoint: bool = False,
    ) -> None:
        spaces: dict[str, Space] = {"s": model.state, "a": over_time(model.action, horizon)}
        if model.z is not None:
            spaces["z"] = over_time(model.z, horizon)
        own = {"s": model.state, "a": model.action}
        for name, term, allowed in (
            ("cost", cost, own),
            ("hardwired", hardwired, own),
            ("final", final, {"s": model.state}),
        ):
            for variable, space in (term.spaces if term is not None else {}).items():
                wanted = allowed.get(variable, None if variable in ("a", "z") else spaces.setdefault(variable, space))
                if wanted != space and not (wanted is not None and _inside(wanted, space)):
                    raise VariableError(
                        f"Rollout: {name} is an energy of {variable} in {space!r}, but a plan has "
                        f"{variable} in {wanted!r}."
                        if wanted
                        else f"Rollout: {name} can't be an energy of {variable}."
                    )
        super().__init__(**spaces)
        if cost is None and final is None:
            raise StructureError("Rollout: wanted a cost of each step, of the last state, or both; got neither.")
        if hardwired is not None and any(parameter.requires_grad for parameter in hardwired.parameters()):
            raise StructureError(
                "Rollout: what is hardwired must not learn, but it has parameters that ask for gradients: "
                "call `requires_grad_(False)` on it, or make it part of the cost."
            )
        if uncertainty > 0 and model.versions == 1:
            raise StructureError(
                "Rollout: an uncertainty cost needs a model in several versions that can disagree, got one: "
                "use an ensemble, or dropout with several masks."
            )
        self.model, self.cost, self.final, self.hardwired = model, cost, final, hardwired
        self.horizon, self.uncertainty, self.discount, self.checkpoint = horizon, uncertainty, discount, checkpoint
        self.hard = hardwired is not None and hardwired.hard
        steps = (cost is not None) * horizon + (final is not None)
        self.register_buffer("usual", torch.stack([torch.zeros(steps), torch.ones(steps)]))

    @classmethod
    def example(cls) -> Rollout:
        law = KnownModel(lambda s, a: s + 0.5 * a.tanh(), Real(2), Real(2))
        return cls(law, QuadraticCost(torch.eye(2), 0.1 * torch.eye(2)), 3, final=QuadraticCost(torch.eye(2)))

    def energies(self, s: Tensor, a: Tensor, z: Tensor | None = None, **others: Tensor) -> Tensor:
        now, last = self.imagine(s, a, z)
        return self.total(now, last, a, others)

    def total(self, now: Tensor, last: Tensor, a: Tensor, others: dict[str, Tensor]) -> Tensor:
        """The energy of futures that are known already, as `imagine` gives them."""
        costs = self.costs(now, last, a, others)
        mean = costs.mean(0)
        total = mean.sum(-1) if self.discount == 1 else mean @ self._discounts(costs)
        if self.uncertainty > 0:
            total = total + self.uncertainty * self._unusual(costs).sum(-1)
        if self.hardwired is not None:
            total = total + _of_steps(self.hardwired, now, a, others).sum(-1).amax(0)
        return total

    def imagine(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The states at which the actions are taken ``(M, *B, T, *S)``, and the one after them ``(M, *B, *S)``.

        Where only the last one costs anything the others are not put together: what stands for them is without meaning.
        """
        future = self.model.rollout(s, a, z, checkpoint=self.checkpoint)
        axis = future.ndim - 1 - len(self.model.state.shape)
        if self.cost is None and self.hardwired is None:  # nobody asks for the states on the way
            return future, future.select(axis, -1)
        first = s.expand(future.select(axis, 0).shape).unsqueeze(axis)
        return torch.cat([first, future.narrow(axis, 0, self.horizon - 1)], axis), future.select(axis, -1)

    def costs(self, now: Tensor, last: Tensor, a: Tensor, others: dict[str, Tensor]) -> Float[Tensor, "M *B T"]:
        """What each step costs in each version, and then the last state, if that costs anything."""
        parts = []
        if self.cost is not None:
            each = _of_steps(self.cost, now, a, others)
            parts.append(each.expand(*now.shape[: now.ndim - len(self.model.state.shape)]))
        if self.final is not None:
            known = {name: value for name, value in others.items() if name in self.final.spaces}
            parts.append(self.final(s=last, **known).unsqueeze(-1))
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    def _discounts(self, costs: Tensor) -> Tensor:
        first = self.horizon if self.cost is None else 0
        return self.discount ** torch.arange(first, first + costs.shape[-1], dtype=costs.dtype, device=costs.device)

    # --- how sure the model is --------------------------------------------------------------------------------------

    def doubt(self, s: Tensor, a: Tensor, z: Tensor | None = None, **others: Tensor) -> Float[Tensor, "*B T"]:
        """Variance over the versions of what each step costs, in units of energy²."""
        now, last = self.imagine(s, a, z)
        return self.costs(now, last, a, others).var(0, correction=0)

    def unusual_doubt(self, s: Tensor, a: Tensor, z: Tensor | None = None, **others: Tensor) -> Float[Tensor, "*B T"]:
        """By how many of the usual deviations the doubt about each step is above what is usual on recorded data; 0 where it is not."""
        return self._unusual(self.costs(*self.imagine(s, a, z), a, others))

    @torch.no_grad()
    def calibrate(self, s: Tensor, a: Tensor, z: Tensor | None = None, **others: Tensor) -> None:
        """Learn what doubt is usual at each step, from recorded states ``(N, *S)`` and the actions that followed ``(N, T, *A)``.

        From then on the uncertainty cost counts by how many deviations the doubt is above its mean, and nothing below it.
        """
        deviation, mean = torch.std_mean(self.doubt(s, a, z, **others), 0)
        self.usual.copy_(torch.stack([mean, deviation.clamp_min(1e-6)]))

    def _unusual(self, costs: Tensor) -> Tensor:
        return ((costs.var(0, correction=0) - self.usual[0]) / self.usual[1]).relu()


def _of_steps(cost: Energy, now: Tensor, a: Tensor, others: dict[str, Tensor]) -> Tensor:
    """A cost of one step at every step: ``(M, *B, T)``."""
    values: dict[str, Any] = {}
    for name, space in cost.spaces.items():
        if name in ("s", "a"):
            values[name] = now if name == "s" else a
        else:  # one value for the whole plan
            values[name] = others[name].unsqueeze(others[name].ndim - len(space.shape))
    return cost(**values)


def _inside(part: Space, whole: Space) -> bool:
    """Whether values of a box are values of a real space of the same shape."""
    return type(whole) is Real and part.kind == "float" and part.shape == whole.shape
