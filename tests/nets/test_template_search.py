"""Looking for a thing whose looks are known."""

import torch

from lowland.nets import TemplateSearch

BACK, FRONT = 0.3, 0.9


def bell(x: float, y: float, side: int, first: int = 0) -> torch.Tensor:
    """A soft disc at a place, on ``side`` pixels that begin at ``first``."""
    line = torch.arange(side) + first
    away = ((line - x).square()[None] + (line - y).square()[:, None]).sqrt()
    return (2.5 - away).clamp(0, 1)


def search(*places: tuple[float, float], screen: slice | None = None) -> TemplateSearch:
    frames = torch.stack([BACK + (FRONT - BACK) * bell(x, y, 32) for x, y in places])[None, :, None].repeat(
        1, 1, 3, 1, 1
    )
    seen = torch.ones(1, 1, 32, 32)
    if screen is not None:
        seen[..., screen], frames[..., screen] = 0, 0.5
    still = torch.where(seen > 0, BACK, 0.5).expand(1, 3, 32, 32)
    shape = bell(0, 0, 9, -4)[None]
    return TemplateSearch(frames, still, seen, shape, torch.full((1, 3, 1, 1), FRONT), 10, 0.15)


def test_it_is_found_between_pixels_wherever_it_is():
    for place in ((8.0, 12.0), (20.3, 5.6), (30.5, 31.0)):
        found = search(place)
        expected = found.near(torch.tensor([[16.0, 16.0]]), torch.ones(1, 2))
        torch.testing.assert_close(found(0, expected)[0], torch.tensor(place), atol=0.15, rtol=0)


def test_what_is_hidden_is_where_it_was_expected():
    found = search((16.0, 10.0), screen=slice(10, 22))
    expected = found.near(torch.tensor([[15.4, 10.0]]), torch.full((1, 2), 0.3))
    torch.testing.assert_close(found(0, expected)[0], torch.tensor([15.4, 10.0]), atol=0.1, rtol=0)


def test_where_it_would_be_seen_and_is_not_it_can_not_be():
    found = search((24.0, 14.0), screen=slice(16, 32))
    expected = found.near(torch.tensor([[13.0, 14.0]]), torch.full((1, 2), 0.5))
    assert found(0, expected)[0, 0] > 17


def test_outside_of_the_picture_nothing_contradicts():
    found = search((60.0, 10.0))
    expected = found.near(torch.tensor([[38.0, 10.0]]), torch.full((1, 2), 0.3))
    torch.testing.assert_close(found(0, expected)[0], torch.tensor([38.0, 10.0]), atol=0.1, rtol=0)


def test_frames_are_looked_at_one_by_one():
    both, one = search((8.0, 9.0), (12.0, 9.0)), search((12.0, 9.0))
    expected = one.near(torch.tensor([[10.0, 9.0]]), torch.ones(1, 2))
    torch.testing.assert_close(both(1, expected), one(0, expected))
