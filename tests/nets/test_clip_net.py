"""The net that imagines how a clip goes on."""

import torch

from lowland.nets import ClipNet
from lowland.nets.clip_net import _behind, _moving


def film(speed: float = 2.0, frames: int = 6) -> torch.Tensor:
    """A white square of 5 pixels that moves to the right over grey: ``(1, frames, 3, 32, 32)``."""
    clip = torch.full((1, frames, 3, 32, 32), 0.4)
    for t in range(frames):
        left = round(4 + speed * t)
        clip[:, t, :, 10:15, left : left + 5] = 1.0
    return clip


def test_it_learns_to_draw_one_thing_where_it_is_and_to_say_where_it_will_be():
    torch.manual_seed(0)
    net = ClipNet(hidden=16, channels=4)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    clip = film()
    losses = []
    for _ in range(60):
        with torch.no_grad():
            z = net.find(clip)
        followed = net(clip, z)
        losses.append([(followed.answer - clip).square().mean().item(), followed.nats.sum().item()])
        loss = 50 * (followed.answer - clip).square().mean() + 0.1 * followed.nats.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    (drawn, said), (first_drawn, first_said) = losses[-1], losses[0]
    assert drawn < 0.5 * first_drawn and said < 0.5 * first_said
    torch.testing.assert_close(z[0, :, 0].diff(), torch.full((5,), 2.0), atol=0.3, rtol=0)


@torch.no_grad()
def test_what_comes_later_changes_nothing_before():
    net, clip = ClipNet(hidden=8, channels=4), film()
    later = clip.clone()
    later[:, 4:] = 0.7
    z, other = net.find(clip), net.find(later)
    torch.testing.assert_close(z[:, :4], other[:, :4])
    one, two = net(clip, z), net(later, other)
    torch.testing.assert_close(one.answer[:, :4], two.answer[:, :4])
    torch.testing.assert_close(one.nats[:, :4], two.nats[:, :4])
    assert not torch.allclose(one.nats[:, 4:], two.nats[:, 4:])


@torch.no_grad()
def test_places_are_unlikely_where_nothing_was_expected():
    net, clip = ClipNet(hidden=8, channels=4), film()
    z = net.find(clip)
    away = z.clone()
    away[:, 4:] += 8.0
    assert net(clip, away).nats[0, 4] > net(clip, z).nats[0, 4] + 5


def test_it_looks_first_where_something_moves():
    clip = film(3.0)[:, :3]
    rows, columns = divmod(int(_moving(clip)[0, 1].argmax()), 32)
    assert 10 <= rows < 15 and 7 <= columns < 12
    assert (_moving(torch.full((1, 3, 3, 32, 32), 0.5)) == 0).all()


def test_what_is_behind_is_seen_before_or_after_or_beside():
    for speed in (6.0, 0.0):
        clip = film(speed)[:, :3]
        cover = (clip[:, :, :1] > 0.9).float()
        torch.testing.assert_close(_behind(clip, cover), torch.full((1, 3, 32, 32), 0.4), atol=1e-3, rtol=0)
