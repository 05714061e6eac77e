"""Two rooms and a door between them: a dot walks from where it is to where a second picture shows it. All it sees is pixels.

    state    (2, 28, 28): what it looks like now, and what it should look like; the dot is 1 at its centre, walls are ½
    action   how far to go, in [−1, 1]², times 0.08 of the side of the square that the rooms make; walls stop what would cross them
    reward   minus the distance to the goal, in sides, after the step

The wall stands in the middle, its door is a fifth of the side. Start and goal are drawn evenly, anywhere. An episode is over, and a
*success*, when the dot has been within 0.06 of the goal for 2 steps in a row.

Source: Sobal et al., Learning from Reward-Free Offline Data, arXiv 2502.14819 (2025), for the task.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

SIDE, STEP, WALL, DOOR, SKIN, EDGE, NEAR, KEPT = 28, 0.08, 0.5, 0.2, 0.02, 0.06, 0.06, 2
#: Standard deviation of the dot, in pixels.
DOT = 1.2
#: What is darker than this is black.
FAINT = 1e-6
#: Where the middle of the door is, in sides from the top.
MIDDLE = 0.35


class TwoRooms(gymnasium.Env):
    """The environment ``lowland/TwoRooms-v0``.

    Args:
        door: Where its middle is, in sides from the top.
        render_mode: ``"rgb_array"`` to draw, ``None`` not to.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as gymnasium wants it

    def __init__(self, door: float = MIDDLE, render_mode: str | None = None) -> None:
        self.door, self.render_mode = door, render_mode
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (2, SIDE, SIDE), np.float32)
        self.place = self.goal = np.full(2, 0.25)
        self.near = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Somewhere, with somewhere to go."""
        super().reset(seed=seed)
        self.place, self.goal = self._anywhere(), self._anywhere()
        self.near = 0
        return self._seen(), {"success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Go as far as the walls allow: where one stops the way across, the way along it goes on."""
        move = STEP * np.clip(np.asarray(action, dtype=np.float64).reshape(2), -1.0, 1.0)
        self.place = walked(self.place, move, self.door)
        away = float(np.linalg.norm(self.place - self.goal))
        self.near = self.near + 1 if away < NEAR else 0
        success = self.near >= KEPT
        return self._seen(), -away, success, False, {"success": success}

    def _anywhere(self) -> np.ndarray:
        return self.np_random.uniform(EDGE, 1 - EDGE, 2)

    def _seen(self) -> np.ndarray:
        return np.stack([picture(self.place, self.door), picture(self.goal, self.door)])

    def render(self) -> np.ndarray | None:
        """A picture of it, ``(224, 224, 3)`` bytes: the dot is dark, the goal a ring."""
        if self.render_mode is None:
            return None
        from PIL import Image, ImageDraw

        size, half = 224, 224 / SIDE
        drawn = Image.new("RGB", (size, size), "white")
        draw = ImageDraw.Draw(drawn)
        draw.rectangle([size / 2 - half, 0, size / 2 + half, size * (self.door - DOOR / 2)], fill=(170, 170, 170))
        draw.rectangle([size / 2 - half, size * (self.door + DOOR / 2), size / 2 + half, size], fill=(170, 170, 170))
        (x, y), (u, v) = size * self.goal, size * self.place
        draw.ellipse([x - 12, y - 12, x + 12, y + 12], outline=(220, 110, 50), width=4)
        draw.ellipse([u - 8, v - 8, u + 8, v + 8], fill=(40, 90, 120))
        return np.asarray(drawn)


def walked(place: np.ndarray, move: np.ndarray, door: float) -> np.ndarray:
    """Where one gets to from ``place (2)``, x to the right and y down, both in sides."""
    end = np.clip(place + move, EDGE, 1 - EDGE)
    left = place[0] < WALL
    if left != (end[0] < WALL):
        share = (WALL - place[0]) / (end[0] - place[0])
        if abs(place[1] + share * (end[1] - place[1]) - door) >= DOOR / 2:
            end[0] = WALL - SKIN if left else WALL + SKIN
    return end


def picture(place: np.ndarray, door: float = MIDDLE) -> np.ndarray:
    """``(28, 28)``: walls ½, the dot 1 at its centre."""
    pixels = (np.arange(SIDE) + 0.5) / SIDE
    seen = np.zeros((SIDE, SIDE), dtype=np.float32)
    seen[np.abs(pixels - door) >= DOOR / 2, SIDE // 2 - 1 : SIDE // 2 + 1] = 0.5
    across, down = (np.exp(-0.5 * ((pixels - at) * SIDE / DOT) ** 2) for at in place)
    dot = np.outer(down, across)
    return np.maximum(seen, np.where(dot < FAINT, 0, dot).astype(np.float32))
