"""Drive one car of a recording; all others do what they did, as if it were invisible to them.

    state    what its driver sees, `lowland.data.traffic.seen`
    action   in [−1, 1]²: how hard it accelerates or brakes, and how fast it goes across, times `lowland.data.traffic.LIMITS`
    reward   metres gone; the episode ends where the car touches another one or leaves the road

A *success* is to get to the end of the recording. Recorded actions take the car where it was recorded.

Source: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from ..data.traffic import LIMITS, STATE, Traffic, read_traffic, seen
from ..errors import DataError, UsageError
from .highway import record_highway

#: Length and height of a picture, in metres and in pixels a metre.
SHOWN, DOTS = 80.0, 6
#: Seconds that a car has to be there.
LEAST = 5.0


class Case(NamedTuple):
    """A car to be driven: the recording, which of its vehicles, and the frames where its driver begins and where the recording ends."""

    traffic: Traffic
    car: int
    first: int
    last: int

    @property
    def metres(self) -> float:
        """How far the recorded driver got."""
        return float(self.traffic.x[self.last, self.car] - self.traffic.x[self.first, self.car])


@dataclass(frozen=True)
class Source:
    """Where the cars come from.

    Attributes:
        recording: A file of `read_traffic`, or ``"highway"`` for scenes of `record_highway`.
        first: Number of the first scene of the highway; by default one that no system here learns from.
        scenes: How many of them.
        cars: Vehicles in each of them.
        seconds: How long each of them is.
        lanes: Lanes of the road of a file.
        lane: How wide each of them is, in metres.
        frames: How many frames of the recording a step takes.
        low: A stretch of road where the driven cars begin, from this share of all vehicles
        high: to this one.
    """

    recording: str = "highway"
    first: int = 900
    scenes: int = 1
    cars: int = 40
    seconds: float = 20.0
    lanes: int = 4
    lane: float = 4.0
    frames: int = 2
    low: float = 0.0
    high: float = 1.0

    def traffic(self) -> list[Traffic]:
        """The recordings."""
        if self.recording == "highway":
            found = [record_highway(self.first + scene, self.cars, self.seconds) for scene in range(self.scenes)]
        else:
            found = read_traffic(self.recording, self.lanes, self.lane)
        return [traffic.every(self.frames) for traffic in found]


@lru_cache(maxsize=4)
def cases(source: Source) -> list[Case]:
    """The cars that can be driven for five seconds or more, in a random order that is always the same.

    Raises:
        DataError: If there is none.
    """
    drawn = []
    for traffic in source.traffic():
        for car, begins in traffic.drivers(LEAST, traffic.stretch(source.low, source.high)):
            last = int(traffic.present[:, car].nonzero().max())
            drawn.append(Case(traffic, car, begins, last))
    if not drawn:
        raise DataError(f"{source.recording}: wanted vehicles that are there for {LEAST:.0f} seconds, found none.")
    order = torch.randperm(len(drawn), generator=torch.Generator().manual_seed(0))
    return [drawn[index] for index in order.tolist()]


class TrafficReplay(gymnasium.Env):
    """The environment ``lowland/TrafficReplay-v0``; the seed says which car is driven.

    Args:
        render_mode: ``"rgb_array"`` to draw, ``None`` not to.
        **source: As for `Source`.

    Raises:
        UsageError: If something is a word that should be a number, or the other way round.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 - as gymnasium wants it

    def __init__(self, render_mode: str | None = None, **source: Any) -> None:
        for field in fields(Source):
            kind, value = type(field.default), source.get(field.name, field.default)
            if not isinstance(value, (int, float) if kind is float else kind):
                wanted = {str: "the name of a file", int: "a whole number", float: "a number"}[kind]
                raise UsageError(f"TrafficReplay: {field.name}: wanted {wanted}, got {value!r}.")
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (STATE,), np.float32)
        self.cases = cases(Source(**source))
        self._begin(0)

    def _begin(self, index: int) -> None:
        self.case = self.cases[index % len(self.cases)]
        traffic, car, self.frame, _ = self.case
        speeds = traffic.speeds()
        everyone = torch.stack([traffic.x, traffic.y, *speeds], -1)
        others = torch.arange(everyone.shape[1]) != car
        self.driver, self.others = everyone[self.frame, car], everyone[:, others]
        sizes = torch.stack([traffic.length, traffic.width], -1)
        self.size, self.sizes = sizes[car], sizes[others]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Where the recorded driver was."""
        super().reset(seed=seed)
        self._begin(int(self.np_random.integers(len(self.cases))) if seed is None else seed)
        return self._seen(), {"success": False}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Drive until the next frame."""
        traffic = self.case.traffic
        push, across = (np.clip(np.asarray(action, dtype=np.float64).reshape(2), -1, 1) * LIMITS).tolist()
        x, y, speed, _ = self.driver.tolist()
        speed = max(speed + push * traffic.seconds, 0.0)
        gone = speed * traffic.seconds
        self.driver = torch.tensor([x + gone, y + across * traffic.seconds, speed, across])
        self.frame += 1
        over = self.touches() or self.off_road()
        late = self.frame == self.case.last
        return self._seen(), gone, over, late and not over, {"success": late and not over}

    def touches(self) -> bool:
        """Whether the car overlaps with another one."""
        away = (self.others[self.frame, :, :2] - self.driver[:2]).abs()
        return bool((away < (self.sizes + self.size) / 2).all(-1).any())

    def off_road(self) -> bool:
        """Whether half of the car is beyond the edge."""
        return not 0 <= float(self.driver[1]) <= self.case.traffic.road

    def _seen(self) -> np.ndarray:
        return seen(self.driver[None], self.others[self.frame], self.case.traffic.lane)[0].numpy()

    def render(self) -> np.ndarray | None:
        """A picture of the road around the car: it is orange, the car as recorded an outline."""
        if self.render_mode is None:
            return None
        from PIL import Image, ImageDraw

        traffic = self.case.traffic
        picture = Image.new("RGB", (int(SHOWN * DOTS), int((traffic.road + 2) * DOTS)), (235, 235, 235))
        draw = ImageDraw.Draw(picture)
        draw.rectangle([0, DOTS, SHOWN * DOTS, (1 + traffic.road) * DOTS], fill=(205, 208, 212))
        for line in range(1, traffic.lanes):
            draw.line(
                [0, (1 + line * traffic.lane) * DOTS, SHOWN * DOTS, (1 + line * traffic.lane) * DOTS], fill="white"
            )
        left = float(self.driver[0]) - SHOWN / 2

        def car(x: float, y: float, length: float, width: float, **colours: Any) -> None:
            box = [x - length / 2 - left, y - width / 2 + 1, x + length / 2 - left, y + width / 2 + 1]
            draw.rectangle([DOTS * side for side in box], **colours)

        for other, size in zip(self.others[self.frame, :, :2].tolist(), self.sizes.tolist(), strict=True):
            if other[0] == other[0]:
                car(*other, *size, fill=(40, 90, 120))
        was = [float(part[self.frame, self.case.car]) for part in (traffic.x, traffic.y)]
        car(*was, *self.size.tolist(), outline=(220, 110, 50))
        car(*self.driver[:2].tolist(), *self.size.tolist(), fill=(220, 110, 50))
        return np.asarray(picture)
