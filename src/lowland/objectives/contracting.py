"""Contraction and saturation: an embedding that hardly changes around the data can describe little else.

    contracting      ‖∂h/∂x‖²_F + γ/σ² mean_ε ‖∂h/∂x(x + σε) − ∂h/∂x(x)‖²_F       of first order, and higher ones by noise
    saturating       Σ_k distance of the pre-activation a_k to where its unit's slope is 0

For a layer of units h = s(Wx + b) both are closed forms: Σ_k s′_k(x)² ‖W_k‖² and Σ_k (s′_k(x + σε) − s′_k(x))² ‖W_k‖².

Push down nothing, and nothing up: they keep the volume small that a reconstruction makes low. Add them to one,
``EnergyLoss() + 0.1 * Contracting()`` (strategy A3).

Sources: Rifai, Vincent, Muller, Glorot & Bengio, Contractive Auto-Encoders, ICML 2011, eq. 7; Rifai et al., Higher Order Contractive
Auto-Encoder, ECML 2011, eq. 5; Goroshin & LeCun, Saturating Auto-Encoders, ICLR 2013, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..errors import SpaceError
from .objective import Loss, Objective, encoder, observed

_ZERO_SLOPE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda a: a.clamp_min(0),
    "clip": lambda a: torch.minimum(a, 1 - a).clamp_min(0),
    "shrink": lambda a: (a.abs() - 1).clamp_min(0),
}


class Contracting(Objective):
    """The squared length of the Jacobian of the embedding, in units of (embedding / x)².

    Args:
        second: γ ≥ 0, weight of the change of the Jacobian, per unit of x²; 0 leaves it out.
        sigma: Standard deviation of the noise that measures it, in units of x.
        draws: Random directions that stand for all of the embedding; exact by default, with a pass backward for each of its dimensions.
            An encoder of one layer that has ``weight`` and ``slopes(x)``, as `lowland.nets.UnitLayer` has, needs no pass backward.
        name: The variable that is embedded.
        encoder: ``encoder(x (N, *event)) → (N, K)``; the part of the energy called ``encoder`` by default.
    """

    no_collapse = "Nothing by itself: a constant embedding costs 0. Beside a reconstruction, only directions the data vary in pay."
    tried_on = "pairs"

    @classmethod
    def example(cls) -> Contracting:
        return cls(second=0.1)

    def __init__(
        self,
        second: float = 0.0,
        sigma: float = 0.1,
        draws: int | None = None,
        name: str = "x",
        encoder: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if second < 0 or not sigma > 0 or (draws is not None and draws < 1):
            raise SpaceError(
                f"Contracting: wanted second ≥ 0, sigma > 0 and draws ≥ 1, got {second}, {sigma} and {draws}."
            )
        self.second, self.sigma, self.draws, self.name, self.encoder = second, sigma, draws, name, encoder

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        energy.known({self.name})
        embed = self.encoder or encoder(energy)
        x = values[self.name]
        with torch.enable_grad():
            first, change = self._of_layer(embed, x) if hasattr(embed, "slopes") else self._of_any(embed, x)
            parts, value = {"jacobian": first.detach()}, first
            if change is not None:
                parts["jacobian_change"] = change.detach()
                value = value + self.second * change
        return Loss(value, parts)

    def _of_layer(self, layer: Any, x: Tensor) -> tuple[Tensor, Tensor | None]:
        lengths, slopes = layer.weight.square().sum(1), layer.slopes(x)
        first = (slopes.square() @ lengths).mean()
        if not self.second:
            return first, None
        change = layer.slopes(x + self.sigma * torch.randn_like(x)) - slopes
        return first, (change.square() @ lengths).mean() / self.sigma**2

    def _of_any(self, embed: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
        rows, ways = self._jacobian(embed, x)
        first = rows.square().sum() / (len(x) * self._share(ways))
        if not self.second:
            return first, None
        nearby, _ = self._jacobian(embed, x + self.sigma * torch.randn_like(x), ways)
        return first, (nearby - rows).square().sum() / (len(x) * self._share(ways) * self.sigma**2)

    def _jacobian(
        self, embed: Callable[[Tensor], Tensor], x: Tensor, ways: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """wᵀ∂h/∂x for several directions w of the embedding, ``(K, N, *event)``; and the directions ``(K, N, *embedding)``."""
        x = x.detach().requires_grad_()
        h = embed(x)
        if ways is None:
            length = h[0].numel()
            if self.draws is None:
                ways = torch.eye(length, dtype=h.dtype, device=h.device).reshape(length, 1, *h.shape[1:])
                ways = ways.expand(-1, *h.shape)
            else:
                ways = torch.randn(self.draws, *h.shape, dtype=h.dtype, device=h.device)
        return torch.autograd.grad(h, x, ways, create_graph=True, is_grads_batched=True, materialize_grads=True)[
            0
        ], ways

    def _share(self, ways: Tensor) -> int:
        """How many times the whole Jacobian was counted."""
        return 1 if self.draws is None else len(ways)


class Saturating(Objective):
    """How far pre-activations are from where their unit is flat, in units of the pre-activation.

    Args:
        unit: "relu" (flat below 0), "clip" (a saturating line: flat below 0 and above 1) or "shrink" (flat between −1 and 1).
        name: The variable that is embedded.
        encoder: Gives the pre-activations: ``encoder(x (N, *event)) → (N, K)``; the part of the energy called ``encoder`` by default.
    """

    no_collapse = "Nothing by itself: units that are flat everywhere cost 0. Beside a reconstruction, the data need some that aren't."
    tried_on = "pairs"

    @classmethod
    def example(cls) -> Saturating:
        return cls("relu")

    def __init__(
        self,
        unit: str = "shrink",
        name: str = "x",
        encoder: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if unit not in _ZERO_SLOPE:
            raise SpaceError(f"Saturating: wanted a unit among {', '.join(_ZERO_SLOPE)}, got {unit!r}.")
        self.unit, self.name, self.encoder = unit, name, encoder

    def __call__(self, energy: Energy, batch: Mapping[str, Any]) -> Loss:
        values = observed(energy, batch)
        energy.known({self.name})
        distance = _ZERO_SLOPE[self.unit]((self.encoder or encoder(energy))(values[self.name]))
        value = distance.flatten(1).sum(-1).mean()
        return Loss(value, {"active": (distance > 0).to(value.dtype).mean(), "distance": value.detach()})
