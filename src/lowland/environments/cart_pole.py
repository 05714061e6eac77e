"""Cart-pole swing-up: a pole hangs from a cart; push the cart until the pole stands on it, and keep it there.

    state    position (m), speed (m/s), cosine and sine of the pole's angle (0 is upright), angular speed (rad/s)
    action   the push in [−1, 1], times 10 N
    reward   (1 + cos θ)/2 − 0.02 x² − 0.001 a²,  at the state where the push begins; the episode ends if |x| > 4 m

An episode is 100 steps of 0.05 s from near rest, hanging. It is a *success* when the pole has been within 0.2 rad of upright for
its last 2 seconds.

Source: Barto, Sutton & Anderson, IEEE Trans. SMC 13 (1983), for the equations (without friction; masses and length are theirs);
Deisenroth & Rasmussen, PILCO, ICML 2011, for the task.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

GRAVITY, CART, POLE, HALF, PUSH = 9.8, 1.0, 0.1, 0.5, 10.0
SECONDS, PARTS, FAR, UPRIGHT, KEPT = 0.05, 5, 4.0, 0.2, 40


class CartPoleSwingUp(gymnasium.Env):
    """The environment ``lowland/CartPoleSwingUp-v0``.

    Args:
        render_mode: ``"rgb_array"`` to draw, ``None`` not to.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - as gymnasium wants it

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (5,), np.float32)
        self.x, self.speed, self.angle, self.turning = 0.0, 0.0, math.pi, 0.0
        self.upright = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Hanging, near rest."""
        super().reset(seed=seed)
        noise = self.np_random.uniform(-0.05, 0.05, 4).tolist()
        self.x, self.speed, self.angle, self.turning = noise[0], noise[1], math.pi + noise[2], noise[3]
        self.upright = 0
        return self._seen(), {"success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push for 0.05 seconds."""
        push = float(np.clip(np.asarray(action).reshape(-1)[0], -1.0, 1.0))
        reward = 0.5 * (1 + math.cos(self.angle)) - 0.02 * self.x**2 - 0.001 * push**2
        for _ in range(PARTS):
            self._move(PUSH * push, SECONDS / PARTS)
        away = abs((self.angle + math.pi) % (2 * math.pi) - math.pi)
        self.upright = self.upright + 1 if away < UPRIGHT else 0
        return self._seen(), reward, abs(self.x) > FAR, False, {"success": self.upright >= KEPT}

    def _move(self, force: float, seconds: float) -> None:
        """One step of the semi-implicit Euler method."""
        sine, cosine, mass = math.sin(self.angle), math.cos(self.angle), CART + POLE
        pulled = (force + POLE * HALF * self.turning**2 * sine) / mass
        bent = (GRAVITY * sine - cosine * pulled) / (HALF * (4 / 3 - POLE * cosine**2 / mass))
        self.speed += seconds * (pulled - POLE * HALF * bent * cosine / mass)
        self.turning += seconds * bent
        self.x += seconds * self.speed
        self.angle += seconds * self.turning

    def _seen(self) -> np.ndarray:
        seen = [self.x, self.speed, math.cos(self.angle), math.sin(self.angle), self.turning]
        return np.array(seen, dtype=np.float32)

    def render(self) -> np.ndarray | None:
        """A picture of it, ``(160, 320, 3)`` bytes."""
        if self.render_mode is None:
            return None
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", (320, 160), "white")
        draw = ImageDraw.Draw(picture)
        middle, level, metre = 160 + 38 * self.x, 96, 38
        draw.line([(160 - FAR * metre, level), (160 + FAR * metre, level)], fill=(170, 170, 170), width=2)
        draw.rectangle([middle - 16, level - 8, middle + 16, level + 8], fill=(40, 90, 120))
        tip = (
            middle + 2 * HALF * 1.5 * metre * math.sin(self.angle),
            level - 2 * HALF * 1.5 * metre * math.cos(self.angle),
        )
        draw.line([(middle, level), tip], fill=(220, 110, 50), width=6)
        return np.asarray(picture)
