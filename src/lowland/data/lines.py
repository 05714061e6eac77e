"""Lines of writing as training data: made of single digits, made of other lines, and distorted as handwriting varies.

Every function works on a batch; a line has its own width, and columns beyond it hold 0. Everything random comes from the
generator given, so the same state gives the same lines.

Sources: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86 (1998), section V-D (strings made of digits); Simard, Steinkraus &
Platt, ICDAR (2003) (elastic distortions).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, interpolate, max_pool2d, pad

from .field import HEIGHT, LINE, MARGIN

CELL = 48
"""Columns of the canvas that a single digit is drawn on."""


class Lines(NamedTuple):
    """A batch of normalised lines.

    Attributes:
        ink: ``(B, HEIGHT, W)`` float32: 0 is paper, 1 a dark stroke.
        strokes: ``(B, HEIGHT, W)``: above ½ where a stroke is, rules and ground left out.
        widths: ``(B,)`` int64: how many columns are the line's own.
        spans: ``(B, L, 2)`` float32: first and last column of each digit.
        y: ``(B, L)`` int64: the digits, −1 after the end.
    """

    ink: Tensor
    strokes: Tensor
    widths: Tensor
    spans: Tensor
    y: Tensor

    def at(self, rows: Tensor) -> Lines:
        """Some of them, no wider and no longer than they need to be."""
        width, length = int(self.widths[rows].max()), max(1, int((self.y[rows] >= 0).sum(1).max()))
        return Lines(
            self.ink[rows][..., :width], self.strokes[rows][..., :width], self.widths[rows],
            self.spans[rows][:, :length], self.y[rows][:, :length],
        )  # fmt: skip


def gather_lines(ink: list[Tensor], strokes: list[Tensor], spans: list[Tensor], y: list[Tensor]) -> Lines:
    """Lines of different widths and lengths as one batch."""
    width, length = max(line.shape[1] for line in ink), max(len(digits) for digits in y)
    return Lines(
        torch.stack([pad(line, (0, width - line.shape[1])) for line in ink]),
        torch.stack([pad(line, (0, width - line.shape[1])) for line in strokes]),
        torch.tensor([line.shape[1] for line in ink]),
        torch.stack([pad(ends, (0, 0, 0, length - len(ends))) for ends in spans]),
        torch.stack([pad(digits, (0, length - len(digits)), value=-1) for digits in y]),
    )


def join_lines(*parts: Lines) -> Lines:
    """Batches as one."""
    width, length = max(part.ink.shape[2] for part in parts), max(part.y.shape[1] for part in parts)
    wide = [[pad(part[i], (0, width - part.ink.shape[2])) for part in parts] for i in (0, 1)]
    return Lines(
        torch.cat(wide[0]), torch.cat(wide[1]), torch.cat([part.widths for part in parts]),
        torch.cat([pad(part.spans, (0, 0, 0, length - part.y.shape[1])) for part in parts]),
        torch.cat([pad(part.y, (0, length - part.y.shape[1]), value=-1) for part in parts]),
    )  # fmt: skip


def similar_rows(widths: Int[Tensor, " N"], steps: int, size: int, generator: Generator) -> Int[Tensor, "steps size"]:
    """Which lines go into each step: drawn without repetition from twice as many of about the same width.

    Args:
        widths: Of all lines.
        steps: How many steps there are.
        size: How many lines a step has; all of them, if there are no more.
        generator: Draws them.
    """
    size = min(size, len(widths))
    window, order = min(2 * size, len(widths)), widths.argsort()
    start = torch.randint(-size, len(widths) - window + size + 1, (steps, 1), generator=generator)
    places = torch.rand(steps, window, generator=generator).argsort(1)[:, :size]
    return order[start.clamp(0, len(widths) - window) + places]


def compose_lines(
    glyphs: Float[Tensor, "G h w"], labels: Int[Tensor, " G"], y: Int[Tensor, "B L"], generator: Generator
) -> Lines:
    """Write strings with single digits from a set: side by side, nearly touching or touching, with points and dashes between.

    Args:
        glyphs: Single digits, 0 is paper and 1 ink, every one with some ink.
        labels: Which digit each is.
        y: The strings, −1 after the end.
        generator: Draws which glyph is taken and how it is written.
    """
    batch, length = y.shape
    there = y >= 0
    cells = _written(glyphs, labels, y.clamp_min(0), generator) * there[..., None, None]
    ink = (cells.amax(2) > 0.3).float()
    ink[..., CELL // 2] = 1.0  # a digit too pale to see still has a place
    left = ink.argmax(-1)
    right = CELL - ink.flip(-1).argmax(-1)
    last = there & ~pad(there, (0, 1))[:, 1:]
    kind = torch.randint(12, (batch, length), generator=generator)
    written = there & (last | (torch.rand(batch, length, generator=generator) < 0.35))
    point, comma = written & (kind > 5) & (kind != 8), written & (kind == 8)
    dash = written & last & (kind > 8)
    gap = torch.randn(batch, 1, generator=generator) * 2.5 + 2 + torch.randn(batch, length, generator=generator) * 1.5
    step = (right - left) + gap.clamp_min(-4) + torch.where(point | comma, 4.0, 0.0) + torch.where(dash, 14.0, 0.0)
    start = MARGIN + pad((step * there).cumsum(1), (1, 0))[:, :-1].round().long()
    widths = (start + step.clamp_min(0).ceil().long() + (right - left) // 8 + MARGIN).masked_fill(~there, 0).amax(1)
    widths = torch.maximum(widths, (start + right - left + MARGIN).masked_fill(~there, 0).amax(1))
    canvas = torch.zeros(batch, HEIGHT, int(widths.max()) + 2 * CELL)
    for slot in range(length):
        place = (start[:, slot] - left[:, slot])[:, None] + CELL + torch.arange(CELL)
        canvas.scatter_reduce_(2, place[:, None].expand(-1, HEIGHT, -1), cells[:, slot], "amax")
    canvas = canvas[:, :, CELL : CELL + int(widths.max())]
    after = (start + right - left).float()
    row, column = torch.arange(HEIGHT)[:, None] + 0.5, torch.arange(canvas.shape[2]) + 0.5
    for slot in range(length):
        canvas = torch.maximum(
            canvas, _marks(row, column, after[:, slot], point[:, slot], comma[:, slot], dash[:, slot], generator)
        )
    canvas = canvas * (column < widths[:, None, None])
    spans = torch.stack([start.float(), after], -1) * there[..., None]
    return Lines(_printed(canvas, widths, generator), (canvas > 0.3).float(), widths, spans, y)


def _written(glyphs: Tensor, labels: Tensor, y: Tensor, generator: Generator) -> Float[Tensor, "B L H C"]:
    """One glyph for each digit, its ink brought to about the height of the line, slanted, in the middle of a cell."""
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=10)
    drawn = (torch.rand(y.shape, generator=generator) * counts[y]).long()
    chosen = glyphs[order[(counts.cumsum(0) - counts)[y] + drawn]]
    batch, length, height, width = chosen.shape

    def extent(dark: Tensor) -> tuple[Tensor, Tensor]:
        size = dark.shape[-1]
        return dark.float().argmax(-1).float(), size - dark.flip(-1).float().argmax(-1).float()

    top, bottom = extent((chosen > 0.25).any(-1))
    left, right = extent((chosen > 0.25).any(-2))
    normal = torch.randn(5, batch, length, generator=generator)
    tall = (LINE * (0.95 + 0.05 * normal[4, :, :1]) * torch.exp(0.09 * normal[0])).clamp(14, 34)
    slant = 0.1 * normal[4, :, -1:] + 0.08 * normal[1]
    scale = ((bottom - top) / tall)[..., None, None]
    stretch = torch.exp(0.1 * normal[2])[..., None, None]
    row, column = torch.arange(HEIGHT)[:, None] + 0.5 - HEIGHT / 2, torch.arange(CELL) + 0.5 - CELL / 2
    source_row = (row - 1.2 * normal[3][..., None, None]) * scale + ((top + bottom) / 2)[..., None, None]
    source_column = (column + slant[..., None, None] * row) * scale / stretch + ((left + right) / 2)[..., None, None]
    source_row, source_column = torch.broadcast_tensors(source_row, source_column)
    grid = torch.stack([2 * source_column / width - 1, 2 * source_row / height - 1], -1).flatten(0, 1)
    return grid_sample(chosen.flatten(0, 1)[:, None], grid, align_corners=False).view(batch, length, HEIGHT, CELL)


def _marks(
    row: Tensor, column: Tensor, after: Tensor, point: Tensor, comma: Tensor, dash: Tensor, generator: Generator
) -> Tensor:
    """A point, a comma or one or two dashes behind a digit, where there is to be one."""
    draw = torch.rand(5, len(after), 1, 1, generator=generator)
    x, base = after[:, None, None] + 2.5, HEIGHT / 2 + LINE / 2 - 4 + 5 * draw[0]
    lean = (row - base).clamp(0, 5) * comma[:, None, None]
    dot = (0.8 + draw[1] + 0.7 - torch.hypot(column - x + 0.5 * lean, row - base - lean)).clamp(0, 1)
    second = torch.where(draw[4] < 0.4, 5.0, 0.0)
    high = HEIGHT / 2 - 2 + 8 * draw[2]
    bar = torch.minimum((row - high).abs(), (row - high - second).abs())
    stroke = (1.1 + 0.7 * draw[3] - bar).clamp(0, 1) * ((column - x - 7).abs() < 5)
    return torch.maximum(dot * (point | comma)[:, None, None], stroke * dash[:, None, None])


def _printed(canvas: Tensor, widths: Tensor, generator: Generator) -> Tensor:
    """Some lines get a ground of waves, some a rule below."""
    batch, height, width = canvas.shape
    draw = torch.rand(8, batch, 1, 1, generator=generator)
    row, column = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    wave = row + 0.6 * (draw[0] - 0.5) * column + 2 * torch.sin(column / (5 + 15 * draw[1]))
    ground = (
        torch.sin(2 * torch.pi * wave / (2.5 + 3.5 * draw[2])).clamp_min(0) * (0.05 + 0.25 * draw[3]) * (draw[4] < 0.5)
    )
    rule = (row - (HEIGHT + LINE) / 2 - 6 * draw[5]).abs().lt(0.5) * (0.3 + 0.6 * draw[6]) * (draw[7] < 0.3)
    return torch.maximum(canvas, torch.maximum(ground, rule) * (column < widths[:, None, None]))


def splice_lines(lines: Lines, rows: Int[Tensor, " B"], share: float, generator: Generator) -> Lines:
    """Lines in which some digits, with the paper around them, come from other lines.

    Args:
        lines: Where the digits come from.
        rows: Which lines are changed.
        share: How likely each digit is replaced, between 0 and 1; every class is as likely to come in its place.
        generator: Draws them.
    """
    edges = _edges(lines)  # (N, 2 L + 2)
    batch, length = len(rows), lines.y.shape[1]
    parts = 2 * length + 1
    owner, slot = (lines.y >= 0).nonzero(as_tuple=True)
    digit = lines.y[owner, slot]
    order, counts = digit.argsort(stable=True), torch.bincount(digit, minlength=10)
    known = counts.nonzero()[:, 0]
    wanted = known[torch.randint(len(known), (batch, length), generator=generator)]
    drawn = (torch.rand(batch, length, generator=generator) * counts[wanted]).long()
    taken = order[(counts.cumsum(0) - counts)[wanted] + drawn]
    new = (torch.rand(batch, length, generator=generator) < share) & (lines.y[rows] >= 0)
    row, part = rows[:, None].repeat(1, parts), torch.arange(parts).repeat(batch, 1)
    row[:, 1::2] = torch.where(new, owner[taken], row[:, 1::2])
    part[:, 1::2] = torch.where(new, 2 * slot[taken] + 1, part[:, 1::2])
    begin = edges[row, part]
    sizes = edges[row, part + 1] - begin
    offset = sizes.cumsum(1) - sizes
    widths = sizes.sum(1)
    which = torch.repeat_interleave(torch.arange(batch * parts), sizes.flatten())
    within = torch.arange(len(which)) - (sizes.flatten().cumsum(0) - sizes.flatten())[which]
    source = (row.flatten()[which], begin.flatten()[which] + within)
    target = (which // parts, offset.flatten()[which] + within)
    blank = torch.zeros(2, batch, int(widths.max()), lines.ink.shape[1])
    for index, layer in enumerate((lines.ink, lines.strokes)):
        blank[index][target] = layer.transpose(1, 2)[source]
    y = torch.where(new, wanted, lines.y[rows])
    moved = (offset[:, 1::2] - begin[:, 1::2])[..., None]
    spans = lines.spans[row[:, 1::2], (part[:, 1::2] - 1) // 2] + moved
    ink, strokes = blank.transpose(2, 3)
    return Lines(ink, strokes, widths, spans * (y >= 0)[..., None], y)


def _edges(lines: Lines) -> Int[Tensor, "N edges"]:
    """0, then where each digit's own paper begins and ends, then the width: half way to its neighbours, 3 columns at most."""
    there = lines.y >= 0
    first, last = lines.spans.unbind(-1)
    width = lines.widths[:, None].float()
    before = torch.where(there, (first + pad(last, (1, -1))) / 2, width)
    before[:, 0] = 0.0
    following = pad(first, (-1, 1))
    after = torch.where(pad(there, (-1, 1)), (last + following) / 2, width)
    begin = torch.where(there, torch.minimum(torch.maximum(before, first - 3), first + 1), width)
    end = torch.where(there, torch.maximum(torch.minimum(after, last + 3), last - 1), width)
    ends = torch.stack([begin, end], -1).flatten(1)
    ends = torch.minimum(ends.clamp_min(0), width).round().cummax(1).values
    return torch.cat([torch.zeros_like(width), ends, width], 1).long()


def distort_lines(lines: Lines, generator: Generator, strength: float = 1.0, widest: int | None = None) -> Lines:
    """Stretch, slant, turn, shift and bend each line, thicken or thin its strokes, change its contrast and add grain.

    Args:
        lines: Untouched; the result is new.
        generator: Draws the amounts.
        strength: Factor of all bounds; 1 is about how much handwriting varies.
        widest: No line becomes wider than this, in columns.
    """
    batch, height, width = lines.ink.shape

    def draw(bound: float) -> Tensor:
        return (2 * torch.rand(batch, 1, 1, generator=generator) - 1) * bound * strength

    across, down = draw(0.25).exp(), draw(0.15).exp()
    if widest is not None:
        across = torch.minimum(across, (widest / lines.widths)[:, None, None])
    widths = (lines.widths * across[:, 0, 0]).ceil().long()
    new = int(widths.max()) if widest is None else min(int(widths.max()), widest)
    widths = widths.clamp_max(new)
    bend = strength * interpolate(
        torch.randn(batch, 2, 4, max(new // 10, 3), generator=generator),
        (height, new),
        mode="bicubic",
        align_corners=True,
    )
    row, column = torch.arange(height)[:, None] + 0.5 - height / 2, torch.arange(new) + 0.5
    source_column = column / across + draw(0.3) * row + bend[:, 0]
    middle = widths[:, None, None] / 2
    source_row = row / down + draw(0.05) * (column - middle) + draw(2.5) + height / 2 + 0.8 * bend[:, 1]
    grid = torch.stack([2 * source_column / width - 1, 2 * source_row / height - 1], -1)
    layers = grid_sample(torch.stack([lines.ink, lines.strokes], 1), grid, align_corners=False)
    own = (torch.arange(new) < widths[:, None])[:, None]
    ink, strokes = (layers * own[:, None]).unbind(1)
    weight = draw(0.5)
    thick, thin = max_pool2d(ink, 3, 1, 1), -max_pool2d(-ink, 3, 1, 1)
    ink = torch.where(weight > 0, ink + weight * (thick - ink), ink - 0.6 * weight * (thin - ink))
    ink = ink.clamp_min(0).pow(draw(0.4).exp()) * (0.975 + draw(0.225))
    grain = torch.randn(ink.shape, generator=generator) * (0.035 + draw(0.035)).abs()
    return Lines(ink + grain * own, strokes, widths, lines.spans * across, lines.y)
