"""A frame's context is as wide as promised, and what lies after the end does not count."""

import torch

from lowland.nets.time_delay import TimeDelayNet


def net() -> TimeDelayNet:
    return TimeDelayNet(3, 5, channels=8, steps=(1, 2)).eval()


def test_a_frame_looks_as_far_as_its_layers():
    one = torch.randn(1, 3, 101)
    other = one.clone()
    other[..., 50] += 1
    frames = torch.tensor([101])
    changed = (net_ := net())(one, frames) != net_(other, frames)
    reached = changed.any(2)[0].nonzero()[:, 0]
    assert (int(reached.min()), int(reached.max())) == (
        25 - 7,
        25 + 7,
    )  # 1 + 2 + 4 frames of the halved rate, to both sides


def test_frames_after_the_end_do_not_matter():
    net_, x = net(), torch.randn(2, 3, 40)
    frames = torch.tensor([40, 21])
    x[1, :, 21:] = 0
    out = net_(x, frames)
    assert out.shape == (2, 20, 5) and net_.frames(frames).tolist() == [20, 11]
    torch.testing.assert_close(out[1:, :11], net_(x[1:, :, :21], frames[1:]))
