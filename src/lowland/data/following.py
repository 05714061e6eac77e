"""Drivers who follow another one: runs of five seconds, from pairs as `lowland.data.ngsim_i80` has them, of a file, or made up.

s    spacing (m), own and the leader's speed (m/s), own acceleration so far (m/s²)
a    the leader's acceleration (m/s²)

A file is a table, .csv or .npz, with a row for each pair in each frame, ten frames a second:

    time, pair                         seconds, a number
    spacing, speed, leader_speed       metres from front to front, m/s, m/s
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import DataError
from ..nets import IntelligentDriver
from .traffic import read_columns

#: Seconds between two frames of a pair and between two steps of a run, and how many of these a run has.
FRAME, STEP, STEPS = 0.1, 0.5, 10
#: Frames that are a step.
FRAMES = round(STEP / FRAME)


def read_pairs(path: str | Path) -> list[Float[Tensor, "T 6"]]:
    """The pairs of a file, as this module describes it, in columns like those of `lowland.data.ngsim_i80`.

    Raises:
        DataError: If a column is missing, a number is not finite, a pair is lost for a while or has less than a run; names the pair and
            the time.
    """
    path = Path(path)
    columns = read_columns(path, "time", "pair", "spacing", "speed", "leader_speed")
    nameless = ~columns["pair"].isfinite()
    if bool(nameless.any()):
        raise DataError(f"{path}: row {int(nameless.nonzero()[0]) + 1} does not say of which pair it is.")
    return [_pair(path, columns, number) for number in columns["pair"].unique().tolist()]


def _pair(path: Path, columns: dict[str, Tensor], number: float) -> Tensor:
    own = columns["pair"] == number
    time, *numbers = (columns[name][own] for name in ("time", "spacing", "speed", "leader_speed"))
    what = f"{path}: pair {number:g}"
    wrong = ~torch.stack([time, *numbers]).isfinite().all(0)
    if bool(wrong.any()):
        raise DataError(f"{what} has a number that is not finite in row {int(wrong.nonzero()[0]) + 1} of its own.")
    steps = time.diff()
    if bool(((steps - FRAME).abs() > FRAME / 5).any()):
        frame = int((steps - FRAME).abs().argmax())
        raise DataError(f"{what}: wanted a frame every {FRAME} s, got {steps[frame]:.2f} s after {time[frame]:.1f} s.")
    if len(time) <= FRAMES * (STEPS + 1):
        raise DataError(f"{what}: wanted more than {FRAMES * (STEPS + 1)} frames, got {len(time)}.")
    spacing, speed, leader = (one.float() for one in numbers)
    pushes = [torch.cat([one.diff() / FRAME, one.new_zeros(1)]) for one in (speed, leader)]
    return torch.stack([spacing, speed, pushes[0], leader, pushes[1], leader.cumsum(0) * FRAME], -1)


def following_runs(pairs: Sequence[Float[Tensor, "T 6"]]) -> dict[str, Tensor]:
    """From every frame on: ``s (W, 4)``, what the leader did ``a (W, T, 1)``, and what came ``y (W, T, 4)``."""
    parts = [_runs(pair) for pair in pairs]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _runs(pair: Tensor) -> dict[str, Tensor]:
    spacing, speed, leader = pair[:, 0], pair[:, 1], pair[:, 3]
    own = (speed[FRAMES:] - speed[:-FRAMES]) / STEP
    states = torch.stack([spacing[FRAMES:], speed[FRAMES:], leader[FRAMES:], own], -1)
    later = torch.arange(0, len(states) - FRAMES * STEPS)[:, None] + FRAMES * torch.arange(STEPS + 1)
    runs = states[later]
    return {"s": runs[:, 0], "a": runs[:, :, 2:3].diff(dim=1) / STEP, "y": runs[:, 1:]}


def constant_speed(runs: dict[str, Tensor]) -> Float[Tensor, " W"]:
    """The spacing at the end, had the follower stayed as fast as he was."""
    s = runs["s"]
    leader = torch.cat([s[:, 2:3], runs["y"][..., 2]], 1)
    return s[:, 0] + STEP * ((leader[:, 1:] + leader[:, :-1]) / 2 - s[:, 1:2]).sum(1)


def made_up_pair(seed: int) -> Float[Tensor, "200 6"]:
    """Twenty seconds behind a leader who does anything, by the intelligent driver model: for where there is no data."""
    generator, law = torch.Generator().manual_seed(seed), IntelligentDriver(FRAME)
    push = torch.randn(1, 200, 1, generator=generator).repeat_interleave(3, 1)[:, :200]
    s = torch.tensor([[12.0, 8.0, 8.0, 0.0]])
    states = torch.cat([s[:, None], law.rollout(s, push)[0].detach()[:, :-1]], 1)[0]
    spacing, speed, leader, own = states.unbind(-1)
    return torch.stack([spacing, speed, own, leader, push[0, :, 0], leader.cumsum(0) * FRAME], -1)
