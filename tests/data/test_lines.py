"""Lines that are made of digits and of other lines keep what they say where they say it."""

import torch

from lowland.data import compose_lines, distort_lines, join_lines, similar_rows, splice_lines


def glyphs() -> tuple[torch.Tensor, torch.Tensor]:
    """Digit k is a bar that is k + 3 columns wide and as dark as all others."""
    pictures = torch.zeros(10, 28, 28)
    for digit in range(10):
        pictures[digit, 4:24, 8 : 11 + digit] = 1.0
    return pictures, torch.arange(10)


def strings(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 6, (count, 1), generator=generator)
    return torch.where(torch.arange(5) < lengths, torch.randint(10, (count, 5), generator=generator), -1)


def made(count: int = 20, seed: int = 0):
    return compose_lines(*glyphs(), strings(count, seed), torch.Generator().manual_seed(seed))


def covered(lines, at_least: float) -> None:
    """Every digit has its ink inside its span, and the spans lie inside the line."""
    for row in range(len(lines.y)):
        for digit, (first, last) in zip(lines.y[row].tolist(), lines.spans[row].tolist(), strict=True):
            if digit >= 0:
                inside = lines.strokes[row, :, max(0, int(first)) : int(last) + 1]
                assert float(inside.amax(0).gt(0.5).float().mean()) > at_least
                assert -4 <= first < last <= int(lines.widths[row]) + 4


def test_composed_strings_have_their_ink_under_their_spans():
    lines = made()
    assert torch.equal(lines.y, strings(20))
    covered(lines, 0.6)
    beyond = torch.arange(lines.ink.shape[2]) >= lines.widths[:, None]
    assert float(lines.ink.transpose(1, 2)[beyond].abs().sum()) == 0


def test_the_same_generator_writes_the_same():
    assert all(torch.equal(one, two) for one, two in zip(made(), made(), strict=True))


def test_nothing_spliced_is_nothing_changed():
    lines = made()
    rows = torch.tensor([3, 0, 7])
    same = splice_lines(lines, rows, 0.0, torch.Generator().manual_seed(0))
    width = same.ink.shape[2]
    assert torch.equal(same.ink, lines.ink[rows][..., :width]) and torch.equal(same.y, lines.y[rows])
    torch.testing.assert_close(same.spans, lines.spans[rows])


def test_spliced_digits_bring_their_ink_and_their_name():
    lines = made(40)
    new = splice_lines(lines, torch.arange(40), 1.0, torch.Generator().manual_seed(1))
    covered(new, 0.5)
    assert not torch.equal(new.y, lines.y) and torch.equal(new.y < 0, lines.y < 0)
    there = new.y >= 0
    width = (new.spans[..., 1] - new.spans[..., 0])[there]
    narrow, wide = width[new.y[there] <= 2].mean(), width[new.y[there] >= 7].mean()
    assert wide > 1.5 * narrow  # a glyph's width tells its class


def test_distorted_lines_keep_their_digits_and_their_limits():
    lines = made()
    kept = lines.ink.clone()
    new = distort_lines(lines, torch.Generator().manual_seed(0), widest=100)
    assert torch.equal(kept, lines.ink) and new.ink.shape[2] <= 100 and int(new.widths.max()) <= 100
    covered(new, 0.4)
    assert torch.isfinite(new.ink).all()


def test_joined_lines_are_both():
    one, two = made(3, 0), made(4, 1)
    both = join_lines(one, two)
    assert len(both.y) == 7 and torch.equal(both.widths, torch.cat([one.widths, two.widths]))
    rows = torch.arange(3, 7)
    assert torch.equal(both.at(rows).ink, two.at(torch.arange(4)).ink)


def test_lines_of_a_step_have_about_the_same_width():
    widths = torch.arange(100).flip(0)
    rows = similar_rows(widths, 7, 8, torch.Generator().manual_seed(0))
    assert rows.shape == (7, 8)
    for step in rows:
        assert len(step.unique()) == 8 and int(widths[step].max() - widths[step].min()) < 16
    assert similar_rows(widths[:3], 2, 8, torch.Generator()).sort().values.tolist() == [[0, 1, 2]] * 2
