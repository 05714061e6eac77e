"""Dropout: how many units it leaves out, what becomes of the others, and when."""

import pytest
import torch

from lowland.nets.dropout import Dropout, dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_share_becomes_zero_and_the_mean_stays(share, dtype):
    torch.manual_seed(0)
    h = torch.ones(300, 1001, dtype=dtype, requires_grad=True)
    left = dropout(h, share, True)
    parts = min(max(round(256 * share), 1), 255) / 256
    assert float((left == 0).float().mean()) == pytest.approx(parts, abs=3e-3)
    assert left.unique().tolist() == pytest.approx([0.0, 1 / (1 - parts)], rel=1e-2)
    left.float().sum().backward()
    assert torch.equal(h.grad, left.detach())


def test_units_are_left_out_independently():
    torch.manual_seed(0)
    gone = (dropout(torch.ones(200_000, 8), 0.5, True) == 0).float()
    together = torch.corrcoef(gone.T) - torch.eye(8)
    assert together.abs().max() < 0.01 and (gone.mean(0) - 0.5).abs().max() < 0.01


def test_the_generator_decides_and_without_training_nothing_happens():
    h, layer = torch.randn(4, 7), Dropout(0.3)
    torch.manual_seed(1)
    first = layer(h)
    torch.manual_seed(1)
    assert torch.equal(layer(h), first) and not torch.equal(layer(h), first)
    assert layer.eval()(h) is h and dropout(h, 0.0, True) is h
