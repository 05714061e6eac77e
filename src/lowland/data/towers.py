"""Towers of blocks: pictures of them at rest, whether they fall, and where the blocks lie afterwards.

Blocks of random sizes and colours are set on each other with random offsets, two-dimensional rigid bodies are simulated for three
seconds (`pymunk`, the extra ``control``), and what a camera of random place and distance sees is drawn over a noisy background.
Friction is random, and nobody sees it. A pushed tower is one that would stand, but somebody gives one of its blocks a push.

Source: Lerer, Gross & Fergus, Learning Physical Intuition of Block Towers by Example, ICML 2016, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..errors import UsageError
from .shapes import coverage, painted, uniform

#: Pixels a side of a picture, and of the map of what lies where.
SIDE, MAP_SIDE = 48, 24
#: Colours of the blocks, red, green and blue; no two blocks of a tower share one.
COLOURS = torch.tensor([[0.85, 0.2, 0.2], [0.2, 0.7, 0.25], [0.2, 0.35, 0.9], [0.9, 0.8, 0.2], [0.65, 0.25, 0.75]])
#: Labels of a map: no block, or the block of that colour.
LABELS = ("nothing", "red", "green", "blue", "yellow", "violet")
#: How far blocks are set off, as a part of half their widths together, so that about half the towers of 2, 3, 4 and 5 fall.
OFFSETS = {2: 1.0, 3: 0.74, 4: 0.6, 5: 0.5}
#: Simulated seconds, and steps in one of them.
SECONDS, STEPS = 3, 60
#: A block that has moved further has fallen, in units of which a block is 0.8 to 1.6 wide and 0.5 to 1 high.
MOVED = 0.25


class Towers(NamedTuple):
    """What `block_towers` gives.

    Attributes:
        pictures: ``(N, 3, 48, 48)`` uint8, towers at rest.
        falls: ``(N,)``: 1 if a block moves.
        now: ``(N, 24, 24)``, labels of what lies where before: 0 for nothing, else 1 + the number of the colour.
        after: The same three seconds later.
        blocks: ``(N,)``, how many there are.
    """

    pictures: Tensor
    falls: Tensor
    now: Tensor
    after: Tensor
    blocks: Tensor

    def rows(self, which: Any) -> Towers:
        """Some of them."""
        return Towers(*(part[which] for part in self))


def block_towers(count: int, blocks: Sequence[int] = (2, 3, 4), seed: int = 0, pushed: bool = False) -> Towers:
    """Towers in random order, as many of each height; half of each fall, or all are pushed.

    Args:
        count: N.
        blocks: Numbers of blocks, 2 to 5.
        seed: Draws everything.
        pushed: Towers that would stand, one of whose blocks is pushed to the left or the right: nobody sees which, nor how hard.

    Raises:
        UsageError: If there is a number of blocks that is not known, or pymunk is not installed.
    """
    if not blocks or set(blocks) - OFFSETS.keys():
        raise UsageError(f"block_towers: wanted towers of {min(OFFSETS)} to {max(OFFSETS)} blocks, got {list(blocks)}.")
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for index, number in enumerate(blocks):
        share = count // len(blocks) + (index < count % len(blocks))
        if share:
            parts.append(_of_height(share, number, pushed, generator))
    found = Towers(*(torch.cat(part) for part in zip(*parts, strict=True)))
    return found.rows(torch.randperm(count, generator=generator))


def _of_height(count: int, blocks: int, pushed: bool, generator: torch.Generator) -> Towers:
    """Towers of one height. As many are drawn and simulated as it takes to have both outcomes often enough."""
    quota = {0: count, 1: 0} if pushed else {0: count // 2, 1: count - count // 2}
    kept: list[tuple[Tensor, Tensor, Tensor, int]] = []
    while any(quota.values()):
        sizes, places = _drawn(count, blocks, generator)
        friction = uniform(0.4, 0.9, (count,), generator).tolist()
        pushes = _pushes(count, blocks, generator)
        for tower in range(count):
            end = _settled(sizes[tower], places[tower], friction[tower])
            falls = int(bool((end[:, :2] - places[tower]).norm(dim=1).max() > MOVED))
            if quota[falls]:
                quota[falls] -= 1
                if pushed:
                    end = _settled(sizes[tower], places[tower], friction[tower], pushes[tower])
                    falls = int(bool((end[:, :2] - places[tower]).norm(dim=1).max() > MOVED))
                kept.append((sizes[tower], places[tower], end, falls))
            if not any(quota.values()):
                break
    sizes, places, ends = (torch.stack([one[part] for one in kept]) for part in range(3))  # type: ignore[misc]
    falls = torch.tensor([one[3] for one in kept])
    pictures, now, after = _seen(sizes, places, ends, generator)
    return Towers(pictures, falls, now, after, torch.full((count,), blocks))


def _drawn(
    count: int, blocks: int, generator: torch.Generator
) -> tuple[Float[Tensor, "N L 2"], Float[Tensor, "N L 2"]]:
    """Sizes of blocks, and where their centres are: to the right of the lowest one, and up from the ground."""
    sizes = torch.stack(
        [uniform(0.8, 1.6, (count, blocks), generator), uniform(0.5, 1.0, (count, blocks), generator)], 2
    )
    width, height = sizes.unbind(2)
    reach = OFFSETS[blocks] * 0.5 * (width[:, 1:] + width[:, :-1])
    across = torch.cat([torch.zeros(count, 1), (reach * uniform(-1, 1, reach.shape, generator)).cumsum(1)], 1)
    return sizes, torch.stack([across, height.cumsum(1) - 0.5 * height], 2)


def _pushes(count: int, blocks: int, generator: torch.Generator) -> list[tuple[int, float]]:
    """Which block is pushed, and how fast it is then."""
    which = torch.randint(blocks, (count,), generator=generator)
    side = torch.randint(2, (count,), generator=generator) * 2 - 1
    speed = side * uniform(2.5, 4.5, (count,), generator)
    return list(zip(which.tolist(), speed.tolist(), strict=True))


def _settled(
    sizes: Float[Tensor, "L 2"], places: Float[Tensor, "L 2"], friction: float, push: tuple[int, float] | None = None
) -> Float[Tensor, "L 3"]:
    """Where the blocks are after three seconds: to the right, up, and how far they are turned."""
    try:
        import pymunk
    except ImportError as error:
        raise UsageError('Towers need pymunk: pip install "lowland[control]".') from error

    world = pymunk.Space()
    world.gravity, world.iterations, world.collision_slop = (0, -10), 20, 0.005
    ground = pymunk.Segment(world.static_body, (-50, -0.5), (50, -0.5), 0.5)
    ground.friction = friction
    world.add(ground)
    bodies = []
    for (width, height), place in zip(sizes.tolist(), places.tolist(), strict=True):
        body = pymunk.Body(width * height, pymunk.moment_for_box(width * height, (width, height)))
        body.position = tuple(place)
        shape = pymunk.Poly.create_box(body, (width, height))
        shape.friction = friction
        world.add(body, shape)
        bodies.append(body)
    if push is not None:
        bodies[push[0]].velocity = (push[1], 0)
    for _ in range(SECONDS * STEPS):
        world.step(1 / STEPS)
    return torch.tensor([[*body.position, body.angle] for body in bodies])


def _seen(
    sizes: Float[Tensor, "N L 2"],
    places: Float[Tensor, "N L 2"],
    ends: Float[Tensor, "N L 3"],
    generator: torch.Generator,
) -> tuple[Tensor, Int64[Tensor, "N h w"], Int64[Tensor, "N h w"]]:
    """What a camera sees: the picture before, and what lies where before and after."""
    count, blocks = sizes.shape[:2]
    scale = uniform(6.5, 7.8, (count, 1, 1), generator)  # pixels a unit
    left, ground = uniform(21, 27, (count, 1), generator), uniform(41, 45, (count, 1), generator)
    middle = 0.5 * (places[..., :1].amax(1, keepdim=True) + places[..., :1].amin(1, keepdim=True))
    colours = torch.rand(count, len(COLOURS), generator=generator).argsort(1)[:, :blocks]

    def shown(where: Tensor, angle: Tensor, side: int) -> Tensor:
        place = torch.stack(
            [left + scale[..., 0] * (where[..., 0] - middle[..., 0]), ground - scale[..., 0] * where[..., 1]], 2
        )
        part = side / SIDE
        return coverage(place * part, 0.5 * scale * sizes * part, -angle, (side, side))

    still = torch.zeros(count, blocks)
    pictures = _background(ground, generator)
    for block, cover in enumerate(shown(places, still, SIDE).unbind(1)):
        tint = COLOURS[colours[:, block]] + 0.06 * torch.randn(count, 3, generator=generator)
        pictures = painted(pictures, cover, tint.clamp(0, 1))
    noise = torch.randn(pictures.shape, generator=generator) * uniform(0.01, 0.05, (count, 1, 1, 1), generator)
    pictures = ((pictures + noise).clamp(0, 1) * 255).round().byte()
    return (
        pictures,
        _labels(shown(places, still, MAP_SIDE), colours),
        _labels(shown(ends[..., :2], ends[..., 2], MAP_SIDE), colours),
    )


def _labels(cover: Float[Tensor, "N L h w"], colours: Int64[Tensor, "N L"]) -> Int64[Tensor, "N h w"]:
    """The block that covers most of each pixel, where one covers half of it."""
    most, which = cover.max(1)
    named = (colours + 1).gather(1, which.flatten(1)).reshape(which.shape)
    return torch.where(most > 0.5, named, 0)


def _background(ground: Float[Tensor, "N 1"], generator: torch.Generator) -> Float[Tensor, "N 3 H W"]:
    """A wall that is brighter on one side, and a floor, with spots that are no blocks."""
    count = len(ground)
    wall = uniform(0.35, 0.9, (count, 1, 1, 1), generator) + uniform(-0.08, 0.08, (count, 3, 1, 1), generator)
    slope = uniform(-0.15, 0.15, (count, 2, 1, 1), generator)
    along = torch.linspace(-0.5, 0.5, SIDE)
    shade = slope[:, :1] * along + slope[:, 1:] * along[:, None]
    spots = torch.nn.functional.interpolate(
        torch.randn(count, 1, 6, 6, generator=generator), (SIDE, SIDE), mode="bilinear"
    )
    picture = (wall + shade + 0.05 * spots).clamp(0, 1)
    floor = (torch.arange(SIDE) + 1 - ground).clamp(0, 1)[:, :, None].expand(-1, -1, SIDE)
    return painted(picture, floor, uniform(0.1, 0.5, (count, 1), generator).expand(-1, 3))
