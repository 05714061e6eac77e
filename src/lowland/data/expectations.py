"""Clips of one thing that rolls, falls, bounces and passes behind a screen; and pairs of clips, one of which can't happen.

Things follow two-dimensional rigid-body physics (`pymunk`, the extra ``control``). The two clips of a
pair are the same, noise included, until the violation:

    vanishes   a thing rolls behind a screen and never comes out
    appears    nothing is there, and a thing rolls out from behind the screen
    changes    it comes out in another colour or shape
    hangs      it stops falling, in the air
    passes     it goes through a wall, or through what it should land on
    jumps      it is suddenly somewhere else

Source: Riochet et al., IntPhys: A Framework and Benchmark for Visual Intuitive Physics Reasoning, arXiv 1803.07616 (2018), section 3, for
pairs, which are matched as closely there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ..errors import UsageError
from .shapes import coverage, painted, uniform

#: Pixels a side, frames of a clip, and how many of them are given.
SIDE, FRAMES, GIVEN = 32, 12, 3
KINDS = ("vanishes", "appears", "changes", "hangs", "passes", "jumps")
COLOURS = torch.tensor([[0.85, 0.2, 0.2], [0.2, 0.65, 0.25], [0.2, 0.35, 0.9], [0.9, 0.8, 0.2]])
#: Pixels a frame²; how elastic things are; simulated steps in a frame.
GRAVITY, BOUNCE, STEPS = 0.45, 0.7, 10


@dataclass
class _Scenes:
    """What happens in N clips. Boxes are (centre, half size): ``(N, 4)``, of no size where there is none.

    Attributes:
        track: ``(N, T, 2)``, where the thing is; to the right and down, in pixels.
        there: ``(N, T)``, whether it is there at all.
        disc: ``(N, T)``, whether it is a disc, or a box.
        colour: ``(N, T, 3)``, of the thing.
        radius: ``(N,)``, or half its width and height.
        speed: ``(N, 2)``, at first.
        screen: ``(N, 4)``, what stands before it.
        solid: ``(N, 4)``, a wall, or what it falls on.
        floor: ``(N,)``, where the ground begins.
        drop: ``(N,)``, whether it falls; else it rolls.
        tints: ``(N, 4, 3)``, of the background, the ground, the solid and the screen.
    """

    track: Tensor
    there: Tensor
    disc: Tensor
    colour: Tensor
    radius: Tensor
    speed: Tensor
    screen: Tensor
    solid: Tensor
    floor: Tensor
    drop: Tensor
    tints: Tensor

    def rows(self, which: Tensor) -> _Scenes:
        return _Scenes(*(getattr(self, field.name)[which] for field in fields(self)))


def expected_clips(count: int, seed: int = 0) -> UInt8[Tensor, "N 12 3 32 32"]:
    """Clips in which nothing impossible happens: in 55 % something rolls, in 35 % something falls, in 10 % nothing is there.

    Args:
        count: N.
        seed: Draws everything.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = _moved(_drawn(count, generator))
    scenes.there[torch.rand(count, generator=generator) < 0.1] = False
    return _filmed(scenes, _noise(count, generator))


def matched_clips(
    kind: str, count: int, seed: int = 0
) -> tuple[UInt8[Tensor, "N 12 3 32 32"], UInt8[Tensor, "N 12 3 32 32"]]:
    """Pairs of clips, a possible and an impossible one.

    Args:
        kind: One of `KINDS`.
        count: N, how many pairs.
        seed: Draws everything.

    Raises:
        UsageError: If there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"matched_clips: wanted one of {', '.join(KINDS)}, got {kind!r}.")
    generator = torch.Generator().manual_seed(seed)
    possible, impossible, found = [], [], 0
    while found < count:
        scenes = _moved(_drawn(4 * count, generator))
        strange, fits = _violated(scenes, kind, generator)
        rows = fits.nonzero()[: count - found, 0]
        if kind == "appears":
            scenes = replace(scenes, there=torch.zeros_like(scenes.there))
        possible.append(scenes.rows(rows))
        impossible.append(strange.rows(rows))
        found += len(rows)
    noise = _noise(count, generator)
    return _filmed(_joined(possible), noise), _filmed(_joined(impossible), noise)


def _joined(parts: Sequence[_Scenes]) -> _Scenes:
    return _Scenes(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(_Scenes)))


def _drawn(count: int, generator: torch.Generator) -> _Scenes:
    """Scenes before anything moves: the track is where the thing begins."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return uniform(low, high, (count, *shape), generator)

    def often(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share

    drop, radius, floor = often(0.4), draw(2.2, 3.4), draw(25, 29).round()
    mirror = often(0.5)
    start = torch.where(
        drop[:, None], torch.stack([draw(6, 26), draw(4, 7)], 1), torch.stack([draw(3.5, 8), floor - radius], 1)
    )
    speed = torch.where(drop, torch.zeros(count), draw(1.7, 2.7))
    tall, wide = draw(6, 9), draw(4.2, 6)
    beside = torch.stack([draw(14, 19), floor - tall, wide, tall], 1)
    low = draw(2, 2.5) + radius
    across = torch.stack([start[:, 0] + draw(-1, 1), draw(13, 16), radius + draw(1.5, 3), low], 1)
    screen = torch.where(drop[:, None], across, beside) * torch.where(drop, often(0.4), often(0.85))[:, None]
    thick = draw(3, 6)
    table = torch.stack([start[:, 0] + draw(-2, 2), floor - thick, draw(4, 7), thick], 1)
    wall = torch.stack([draw(25, 28), floor - 5, draw(1, 1.6), torch.full((count,), 5.0)], 1)
    solid = torch.where(drop[:, None], table, wall) * torch.where(drop, often(0.6), often(0.5))[:, None]
    start, screen, solid = (_mirrored(box, mirror & ~drop) for box in (start, screen, solid))
    which = torch.randint(len(COLOURS), (count,), generator=generator)
    grey = torch.stack([draw(0.6, 0.9), draw(0.1, 0.3), draw(0.3, 0.5), draw(0.35, 0.6)], 1)[..., None]
    tints = grey + 0.05 * torch.randn(count, 4, 3, generator=generator)
    tints[:, 3] += 0.15 * torch.tensor([1.0, 0.2, -1.0])  # a screen is of wood
    return _Scenes(
        start[:, None].repeat(1, FRAMES, 1),
        torch.ones(count, FRAMES, dtype=torch.bool),
        often(0.5)[:, None].repeat(1, FRAMES),
        COLOURS[which][:, None].repeat(1, FRAMES, 1),
        radius,
        torch.stack([torch.where(mirror, -speed, speed), torch.zeros(count)], 1),
        screen,
        solid,
        floor,
        drop,
        tints.clamp(0, 1),
    )  # fmt: skip


def _mirrored(box: Tensor, which: Tensor) -> Tensor:
    """The same from the other side; what has no size stays so."""
    turned = torch.cat([SIDE - box[:, :1], box[:, 1:]], 1)
    there = (box[:, 2:] > 0).any(1) if box.shape[1] == 4 else torch.ones(len(box), dtype=torch.bool)
    return torch.where((which & there)[:, None], turned, box)


def _moved(scenes: _Scenes, solid: bool = True) -> _Scenes:
    """What becomes of them; without the solids, if they are not to stop anything."""
    tracks = [_track(scenes, row, solid) for row in range(len(scenes.radius))]
    return replace(scenes, track=torch.tensor(tracks))


def _track(scenes: _Scenes, row: int, solid: bool) -> list[tuple[float, float]]:
    try:
        import pymunk
    except ImportError as error:
        raise UsageError('Clips need pymunk: pip install "lowland[control]".') from error

    world = pymunk.Space()
    world.gravity, world.collision_slop = (0, GRAVITY), 0.05
    shapes = [pymunk.Poly.create_box(world.static_body, (400, 20))]
    floor, radius = float(scenes.floor[row]), float(scenes.radius[row])
    shapes = [pymunk.Poly(world.static_body, [(-200, floor), (200, floor), (200, floor + 20), (-200, floor + 20)])]
    x, y, half, high = scenes.solid[row].tolist()
    if solid and half > 0:
        corners = [(x - half, y - high), (x + half, y - high), (x + half, y + high), (x - half, y + high)]
        shapes.append(pymunk.Poly(world.static_body, corners))
    body = pymunk.Body(1, float("inf"))
    body.position, body.velocity = tuple(scenes.track[row, 0].tolist()), tuple(scenes.speed[row].tolist())
    round_ = bool(scenes.disc[row, 0])
    thing = pymunk.Circle(body, radius) if round_ else pymunk.Poly.create_box(body, (2 * radius, 2 * radius))
    thing.elasticity, thing.friction = BOUNCE, 0
    for shape in shapes:
        shape.elasticity, shape.friction = 1, 0
    world.add(*shapes, body, thing)
    track = []
    for _ in range(FRAMES):
        track.append(tuple(body.position))
        for _ in range(STEPS):
            world.step(1 / STEPS)
    return track


def _hidden(scenes: _Scenes) -> Bool[Tensor, "N T"]:
    """When nothing of the thing is seen, for the screen."""
    x, y, half, high = scenes.screen[:, None].unbind(-1)
    away = (scenes.track - torch.stack([x, y], -1)).abs() + scenes.radius[:, None, None]
    return (away[..., 0] < half) & (away[..., 1] < high)


def _open(scenes: _Scenes) -> Bool[Tensor, "N T"]:
    """When no part of the thing is behind the screen, nor outside the picture."""
    x, y, half, high = scenes.screen[:, None].unbind(-1)
    away = (scenes.track - torch.stack([x, y], -1)).abs() - scenes.radius[:, None, None]
    inside = ((scenes.track > 2) & (scenes.track < SIDE - 2)).all(-1)
    return ((away[..., 0] > half) | (away[..., 1] > high)) & inside


def _violated(scenes: _Scenes, kind: str, generator: torch.Generator) -> tuple[_Scenes, Bool[Tensor, " N"]]:
    """The same with a violation, and in which of them it would be seen."""
    count, time = len(scenes.radius), torch.arange(FRAMES)
    hidden, seen = _hidden(scenes), _open(scenes)
    begin = torch.where(hidden & (time >= GIVEN), time, FRAMES).amin(1)  # the first hidden frame
    behind = (begin < FRAMES) & seen[:, :GIVEN].any(1) & (seen & (time > begin[:, None])).any(1)
    after = time >= begin[:, None]
    if kind in ("vanishes", "appears"):
        return replace(scenes, there=~after if kind == "vanishes" else after), behind & ~scenes.drop
    if kind == "changes":
        shape = (torch.rand(count, generator=generator) < 0.5)[:, None]
        shift = torch.randint(1, len(COLOURS), (count,), generator=generator)
        which = (scenes.colour[:, :1] - COLOURS).abs().sum(-1).argmin(1)
        other = COLOURS[(which + shift) % len(COLOURS)][:, None]
        disc = torch.where(shape & after, ~scenes.disc, scenes.disc)
        colour = torch.where((~shape & after)[..., None], other, scenes.colour)
        return replace(scenes, disc=disc, colour=colour), behind
    moment = torch.randint(GIVEN + 1, 8, (count,), generator=generator)
    rows = torch.arange(count)
    late = time >= moment[:, None]
    if kind == "hangs":
        track = torch.where(late[..., None], scenes.track[rows, moment][:, None], scenes.track)
        falls_on = scenes.track[:, 1:, 1].amax(1) - scenes.track[rows, moment, 1] > 4
        return replace(scenes, track=track), scenes.drop & falls_on & seen[rows, moment]
    if kind == "passes":
        free = _moved(replace(scenes, track=scenes.track[:, :1].repeat(1, FRAMES, 1)), solid=False)
        apart = ((free.track - scenes.track).norm(dim=-1) > 4) & (seen | _open(free))
        return free, apart.sum(1) >= 2
    side = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) * uniform(7, 12, (count,), generator)
    side = torch.where((scenes.track[rows, moment, 0] + side - SIDE / 2).abs() > SIDE / 2 - 4, -side, side)
    track = scenes.track + torch.stack([side, torch.zeros(count)], 1)[:, None] * late[..., None]
    strange = replace(scenes, track=track)
    return strange, seen[rows, moment] & _open(strange)[rows, moment]


def _noise(count: int, generator: torch.Generator) -> Float[Tensor, "N T 3 S S"]:
    return 0.015 * torch.randn(count, FRAMES, 3, SIDE, SIDE, generator=generator)


def _filmed(scenes: _Scenes, noise: Float[Tensor, "N T 3 S S"]) -> UInt8[Tensor, "N T 3 S S"]:
    parts = []
    for rows in torch.arange(len(noise)).split(500):
        some = scenes.rows(rows)
        flat = torch.zeros(len(rows))
        picture = some.tints[:, 0, :, None, None].expand(-1, -1, SIDE, SIDE)
        down = (torch.arange(SIDE) + 1 - some.floor[:, None]).clamp(0, 1)[:, :, None].expand(-1, -1, SIDE)
        picture = painted(picture, down, some.tints[:, 1])
        picture = painted(picture, _box(some.solid, flat), some.tints[:, 2])
        size = some.radius[:, None, None].expand(-1, FRAMES, 2)
        cover = coverage(some.track, size, torch.zeros(len(rows), FRAMES), (SIDE, SIDE), some.disc)
        film = painted(picture[:, None], cover * some.there[..., None, None], some.colour)
        film = painted(film, _box(some.screen, flat)[:, None], some.tints[:, None, 3])
        parts.append(((film + noise[rows]).clamp(0, 1) * 255).round().byte())
    return torch.cat(parts)


def _box(box: Float[Tensor, "N 4"], angle: Float[Tensor, " N"]) -> Float[Tensor, "N S S"]:
    return coverage(box[:, :2], box[:, 2:], angle, (SIDE, SIDE)) * (box[:, 2] > 0)[:, None, None]
