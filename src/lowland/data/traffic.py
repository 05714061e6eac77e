"""Recordings of traffic: where each vehicle was, ten or so times a second, on a straight road with lanes.

A file of one's own is ``.csv`` with a line of column names, or ``.npz`` with an array for each column:

    time, vehicle, x, y         seconds, a number, metres along the road, metres from its left edge
    length, width               metres, of the vehicle; 4.5 and 1.9 where there are no such columns
    scene                       a number; several recordings in one file

Lanes are equally wide. Vehicles come and go; one that is there is there in every frame until it goes.

What a driver sees is a vector: his place across the road and his speed, along and across; and, of the next vehicle in front and
behind, in the lane to the left, his own and to the right, where it is and how fast it goes, compared with him. Where nobody is somebody
as fast is seen as far off as one sees.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..errors import DataError

#: How far a driver sees, in metres; nobody is reported further away.
SIGHT = 40.0
#: Numbers that describe a driver: across, speed along, speed across; and of each of the six neighbours: gap, across, speeds.
OWN, NEIGHBOURS, EACH = 3, 6, 4
STATE = OWN + NEIGHBOURS * EACH
#: What an action of 1 is: how hard one accelerates or brakes, in m/s², and how fast one goes across, in m/s.
LIMITS = (5.0, 3.0)
#: Faster than this (m/s) is a jump.
FASTEST = 60.0
#: Which part of the vehicles may overlap with others.
OVERLAPPING = 0.05
#: A change of speed from one frame to the next that no vehicle makes, in m/s.
ABRUPT = 8.0


@dataclass(frozen=True, eq=False)
class Traffic:
    """One recording.

    Attributes:
        x: ``(T, V)``, centres of the vehicles along the road, in metres; NaN where a vehicle is not there.
        y: ``(T, V)``, across it, from the left edge.
        length: ``(V)``, in metres.
        width: ``(V)``, in metres.
        names: What the vehicles are called.
        seconds: Between two frames.
        first: Time of the first frame, in seconds.
        lanes: How many there are.
        lane: Width of each, in metres.

    Raises:
        DataError: If a number is infinite, a vehicle is not there for a while or jumps, or many are where others are; says which, when
            and how far.
    """

    x: Float[Tensor, "T V"]
    y: Float[Tensor, "T V"]
    length: Float[Tensor, " V"]
    width: Float[Tensor, " V"]
    names: tuple[str, ...]
    seconds: float
    first: float = 0.0
    lanes: int = 4
    lane: float = 4.0

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            infinite = getattr(self, name).isinf() | (self.x.isnan() != self.y.isnan())
            if bool(infinite.any()):
                raise DataError(f"Traffic: {name} is not finite for {self._where(infinite)}.")
        here = self.present
        gone = here.int().diff(dim=0)
        back = (gone == 1) & (here.cumsum(0)[:-1] > 0)
        if bool(back.any()):
            frame, car = back.nonzero()[0].tolist()
            away = frame - int(here[: frame + 1, car].nonzero().max())
            raise DataError(
                f"Traffic: vehicle {self.names[car]} is missing for {away * self.seconds:.1f} s before {self.time(frame + 1):.1f} s; "
                "make two vehicles of it, or fill the gap."
            )
        step = torch.hypot(self.x.diff(dim=0), self.y.diff(dim=0)).nan_to_num()
        bend = torch.hypot(*(part.diff(dim=0).diff(dim=0) for part in (self.x, self.y))).nan_to_num()
        for far, most, what in (
            (step, FASTEST, "from one frame to the next"), (bend, ABRUPT, "off where its speed would take it")
        ):  # fmt: skip
            if bool((far > most * self.seconds).any()):
                frame, car = divmod(int(far.argmax()), far.shape[1])
                raise DataError(
                    f"Traffic: vehicle {self.names[car]} jumps by {far[frame, car]:.1f} m at {self.time(frame + 1):.1f} s; "
                    f"wanted at most {most * self.seconds:.1f} m {what}."
                )

        self._check_apart()

    def _check_apart(self) -> None:
        """In a hundred frames: who are in one place were not recorded at the same time, unless they are a few, by a few centimetres."""
        frames = torch.arange(0, len(self.x), max(len(self.x) // 100, 1))
        where = torch.stack([self.x[frames], self.y[frames]], -1)
        size = torch.stack([self.length, self.width], -1)
        away = (where[:, :, None] - where[:, None]).abs()
        inside = (away < (size[:, None] + size) / 2).all(-1) & ~torch.eye(len(size), dtype=torch.bool)
        share = float(inside.any(-1).sum() / self.present[frames].sum().clamp_min(1))
        if share > OVERLAPPING:
            frame, one, other = inside.nonzero()[0].tolist()
            raise DataError(
                f"Traffic: vehicles {self.names[one]} and {self.names[other]} are in one place at "
                f"{self.time(int(frames[frame])):.1f} s, and {100 * share:.0f} % of all are so with somebody: were they recorded at the "
                "same time?"
            )

    def _where(self, wrong: Tensor) -> str:
        frame, car = wrong.nonzero()[0].tolist()
        return f"vehicle {self.names[car]} at {self.time(frame):.1f} s"

    def time(self, frame: int) -> float:
        """Of a frame, in seconds."""
        return self.first + frame * self.seconds

    @property
    def present(self) -> Tensor:
        """``(T, V)``: whether a vehicle is there."""
        return ~self.x.isnan()

    @property
    def road(self) -> float:
        """How wide the road is, in metres."""
        return self.lanes * self.lane

    def every(self, frames: int, first: int = 0) -> Traffic:
        """One frame of so many, from the first on."""
        return replace(
            self,
            x=self.x[first::frames],
            y=self.y[first::frames],
            seconds=self.seconds * frames,
            first=self.time(first),
        )

    def speeds(self) -> tuple[Tensor, Tensor]:
        """``(T, V)`` each, along and across, m/s: how far each went since the frame before; NaN where there is none."""
        unknown = torch.full_like(self.x[:1], torch.nan)
        along, across = (torch.cat([unknown, part.diff(dim=0) / self.seconds]) for part in (self.x, self.y))
        return along, across

    def actions(self) -> Float[Tensor, "T V 2"]:
        """What each driver does until the next frame: how he accelerates and how fast he goes across, as shares of `LIMITS`, at most 1."""
        along, across = self.speeds()
        unknown = torch.full_like(along[:1], torch.nan)
        done = [torch.cat([along.diff(dim=0) / self.seconds, unknown]), torch.cat([across[1:], unknown])]
        return (torch.stack(done, -1) / along.new_tensor(LIMITS)).clamp(-1, 1)

    def runs(self, horizon: int, cars: Tensor | None = None) -> dict[str, Tensor]:
        """Every run of ``horizon`` steps of every vehicle: ``s (W, S)``, ``a (W, T, 2)``, ``y (W, T, S)``.

        The neighbours are those of its first frame, wherever they get to; one that leaves the recording counts as nobody.

        Args:
            horizon: How many steps.
            cars: ``(V)``, whose runs; of all by default.
        """
        everyone = torch.stack([self.x, self.y, *self.speeds()], -1)
        actions, found = self.actions(), {"s": [], "a": [], "y": []}
        for t in range(1, len(self.x) - horizon):
            part = everyone[t : t + horizon + 1]
            there = ~part.isnan().flatten(2).any(-1).any(0)
            others = part[:, there]
            chosen = torch.ones_like(there) if cars is None else cars
            which = neighbours(others[0], others[0], self.lane, apart=True)[chosen[there]]
            drivers, a = part[:, there & chosen], actions[t : t + horizon, there & chosen]
            states = relative(drivers, others, which, self.lane)
            found["s"].append(states[0])
            found["y"].append(states[1:].transpose(0, 1))
            found["a"].append(a.transpose(0, 1))
        if not found["s"]:
            raise DataError(
                f"Traffic: wanted at least {horizon + 2} frames for runs of {horizon} steps, got {len(self.x)}."
            )
        return {name: torch.cat(parts) for name, parts in found.items()}

    def stretch(self, low: float, high: float) -> Tensor:
        """``(V)``: whether a vehicle begins in this stretch of the road, from a share ``low`` of all vehicles to a share ``high``."""
        begins = self.x.gather(0, self.present.int().argmax(0, keepdim=True))[0]
        share = begins.argsort().argsort() / len(begins)
        return (share >= low) & (share < high)

    def drivers(self, seconds: float, cars: Tensor | None = None) -> list[tuple[int, int]]:
        """Vehicles, of ``cars`` or of all, that are there for so long: each with the frame from which on its speed is known."""
        frames = round(seconds / self.seconds)
        found = []
        for car in range(self.x.shape[1]) if cars is None else cars.nonzero().flatten().tolist():
            here = self.present[:, car].nonzero().flatten().tolist()
            if len(here) >= frames + 2:
                found.append((car, here[0] + 1))
        return found


def seen(driver: Float[Tensor, "N 4"], others: Float[Tensor, "V 4"], lane: float) -> Float[Tensor, "N S"]:
    """What drivers see of others: a state each.

    Args:
        driver: Those who look: x, y, speed along, speed across.
        others: Those who are looked at; NaN for one that is not there.
        lane: Width of a lane, in metres.
    """
    return relative(driver[None], others[None], neighbours(driver, others, lane), lane)[0]


def neighbours(
    driver: Float[Tensor, "N 4"], others: Float[Tensor, "V 4"], lane: float, apart: bool = False
) -> Int64[Tensor, "N 6"]:
    """Who is next in front and behind, in the lane to the left, one's own and to the right: a row of ``others``, or V for nobody.

    Args:
        driver: As for `seen`.
        others: As for `seen`.
        lane: As for `seen`.
        apart: Whether both are the same vehicles, who don't see themselves.
    """
    away = others[None, :, :2] - driver[:, None, :2]
    distance, side = away[..., 0].abs(), (away[..., 1] / lane).round()
    there = (side.abs() < 2) & (distance < SIGHT)  # false where anything is NaN
    if apart:
        there &= ~torch.eye(len(driver), dtype=torch.bool)
    slot = torch.where(there, 2 * side + 2 + (away[..., 0] < 0), -1)
    far = torch.where(slot[:, None] == torch.arange(NEIGHBOURS)[:, None], distance[:, None], torch.inf)
    return (
        torch.cat([far, torch.full_like(far[..., :1], SIGHT)], -1).argmin(-1).where(far.amin(-1) < SIGHT, far.shape[-1])
    )


def relative(
    driver: Float[Tensor, "T N 4"], others: Float[Tensor, "T V 4"], which: Int64[Tensor, "N 6"], lane: float
) -> Float[Tensor, "T N S"]:
    """The states of drivers over time, where they go on looking at the same others, as `neighbours` has them."""
    nobody = driver.new_zeros(NEIGHBOURS, EACH)
    nobody[:, 0] = SIGHT * driver.new_tensor([1, -1] * 3)
    nobody[:, 1] = lane * driver.new_tensor([-1, -1, 0, 0, 1, 1])
    alone = which == others.shape[1]
    known = torch.cat([others, torch.zeros_like(others[:, :1])], 1)[:, which]
    away = known - driver[:, :, None]
    away = torch.cat([away[..., :1].clamp(-SIGHT, SIGHT), away[..., 1:]], -1)
    return torch.cat([driver[..., 1:], torch.where(alone[..., None], nobody, away).flatten(2)], -1)


def read_traffic(path: str | Path, lanes: int = 4, lane: float = 4.0) -> list[Traffic]:
    """The recordings of a file, as this module describes it.

    Raises:
        DataError: If a column is missing, a number is not finite, frames are not evenly spaced, or a vehicle is lost or jumps; names
            the vehicle and the time.
    """
    path = Path(path)
    columns = read_columns(path, "time", "vehicle", "x", "y")
    for name, values in columns.items():
        wrong = ~values.isfinite()
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise DataError(
                f"{path}: {name} is {float(values[row])} for vehicle {columns['vehicle'][row]:.0f} at {columns['time'][row]:.1f} s."
            )
    scene = columns.get("scene", torch.zeros_like(columns["time"]))
    try:
        return [
            table({name: value[scene == one] for name, value in columns.items()}, lanes, lane) for one in scene.unique()
        ]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def table(columns: dict[str, Tensor], lanes: int, lane: float) -> Traffic:
    """One recording from its columns.

    Raises:
        DataError: As `read_traffic`.
    """
    times, frame = columns["time"].mul(1000).round().long().unique(return_inverse=True)
    steps = times.diff()
    if len(times) < 3:
        raise DataError(f"Traffic: wanted at least 3 frames, got {len(times)}.")
    usual = int(steps.median())
    if bool(((steps - usual).abs() > max(usual // 4, 1)).any()):
        worst = int((steps - usual).abs().argmax())
        raise DataError(
            f"Traffic: wanted frames every {usual / 1000:.2f} s, but after {times[worst] / 1000:.1f} s nothing comes for "
            f"{steps[worst] / 1000:.2f} s."
        )
    names, car = columns["vehicle"].unique(return_inverse=True)
    x, y = (torch.full((len(times), len(names)), torch.nan) for _ in range(2))
    twice = torch.stack([frame, car], 1).unique(dim=0, return_counts=True)
    if bool((twice[1] > 1).any()):
        at = twice[0][int(twice[1].argmax())]
        raise DataError(f"Traffic: vehicle {names[at[1]]:.0f} is there twice at {times[at[0]] / 1000:.1f} s.")
    x[frame, car], y[frame, car] = columns["x"].float(), columns["y"].float()
    length, width = torch.full((len(names),), 4.5), torch.full((len(names),), 1.9)
    for name, value in (("length", length), ("width", width)):
        if name in columns:
            value[car] = columns[name].float()
    said = tuple(f"{float(name):.0f}" for name in names)
    return Traffic(x, y, length, width, said, usual / 1000, float(times[0]) / 1000, lanes, lane)


def read_columns(path: Path, *wanted: str) -> dict[str, Tensor]:
    """The columns of a table of numbers, .csv or .npz, in double precision.

    Args:
        path: The file.
        *wanted: Columns that must be there.

    Raises:
        DataError: If it can't be read, or one of them is missing.
    """
    try:
        if path.suffix == ".npz":
            import numpy as np

            with np.load(path, allow_pickle=False) as held:
                found = {name: torch.from_numpy(held[name]).double() for name in held.files}
        else:
            with open(path, encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            found = {
                name.strip().lower(): torch.tensor([float(row[name] or "nan") for row in rows], dtype=torch.float64)
                for name in (rows[0] if rows else ())
            }
    except (OSError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: wanted a table of numbers, .csv or .npz, but it can't be read: {error}") from error
    if missing := [name for name in wanted if name not in found]:
        raise DataError(f"{path}: wanted the columns {', '.join(wanted)}, and there is no {', '.join(missing)}.")
    return found
