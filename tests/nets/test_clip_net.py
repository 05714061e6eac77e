"""The net that imagines how a clip goes on."""

import torch

from lowland.nets import ClipNet, Glimpses
from lowland.nets.clip_net import _behind, _moving


def film(speed: float = 2.0, frames: int = 6) -> torch.Tensor:
    """A white square of 5 pixels that moves to the right over grey: ``(1, frames, 3, 32, 32)``."""
    clip = torch.full((1, frames, 3, 32, 32), 0.4)
    for t in range(frames):
        left = round(4 + speed * t)
        clip[:, t, :, 10:15, left : left + 5] = 1.0
    return clip


def test_it_learns_to_follow_one_thing_and_to_go_on():
    torch.manual_seed(0)
    net = ClipNet(given=3, ahead=3, hidden=16, channels=4)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    clip = film()
    still = (clip - clip[:, 2:3]).square().mean()
    for _ in range(100):
        loss = (net(clip[:, :3]) - clip).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5 * still


def test_glimpses_are_of_the_same_film():
    net = ClipNet(given=3, ahead=4, hidden=8, channels=4)
    clip = film()
    torch.testing.assert_close(Glimpses(net, [0, 3])(clip[:, :3]), net(clip[:, :3])[:, [0, 1, 2, 3, 6]])


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
