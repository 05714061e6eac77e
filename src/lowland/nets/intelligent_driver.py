"""The intelligent driver model: how a driver follows another one, in five numbers that mean something.

    push = a ( 1 − (v/v₀)⁴ − (s*/s)² )        s* = s₀ + v T + v (v − v_leader) / 2√(ab)

Source: Treiber, Hennecke & Helbing, Physical Review E 62 (2000), eqs. 2–3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..energy import WorldModel
from ..spaces import Real

#: Where the numbers begin: a (m/s²), b (m/s²), v₀ (m/s), s₀ (m), T (s).
USUAL = (1.0, 1.5, 30.0, 2.0, 1.5)


class IntelligentDriver(WorldModel):
    """A world model of the state (spacing in m, own speed, the leader's speed, own acceleration so far); the action is the leader's
    acceleration, in m/s².

    Args:
        seconds: Of a step.

    Attributes:
        numbers: ``(5)``, the softplus of which are a, b, v₀, s₀ and T.
        scale: What counts in training is the spacing, in metres; everything else is let go.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(Real(4), Real(1))
        self.seconds = seconds
        self.numbers = nn.Parameter(torch.tensor(USUAL).expm1().log())
        self.scale.data = torch.tensor([1.0, torch.inf, torch.inf, torch.inf])

    def step(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> Tensor:
        spacing, speed, leader, _ = s.unbind(-1)
        push, brake, wanted, least, time = softplus(self.numbers).unbind()
        held = least + speed * time + speed * (speed - leader) / (2 * (push * brake).sqrt())
        free = 1 - (speed / wanted).pow(4)
        # never further into the brakes than an emergency
        accelerated = (push * (free - (held.clamp_min(0) / spacing.clamp_min(0.5)).square())).clamp_min(-8.0)
        after = (speed + accelerated * self.seconds).clamp_min(0)
        ahead = leader + a[:, 0] * self.seconds
        closer = (ahead + leader - after - speed) * self.seconds / 2
        return torch.stack([spacing + closer, after, ahead, (after - speed) / self.seconds], -1)
