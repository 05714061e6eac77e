"""The step of an optimiser over a stage."""

import pytest
import torch

from lowland.train import cosine_decay, linear_decay


def rates(schedule, steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler, found = schedule(optimizer, steps, **options), []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_line_goes_down_to_nought_and_stays_there():
    assert rates(linear_decay, 4) == pytest.approx([2.0, 1.5, 1.0, 0.5, 0.0])


def test_a_line_over_the_last_half_begins_there():
    assert rates(linear_decay, 4, part=0.5) == pytest.approx([2.0, 2.0, 2.0, 1.0, 0.0])


def test_a_cosine_rises_first_and_ends_at_nought():
    found = rates(cosine_decay, 20, warm_up=0.2)
    assert found[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert found[12] == pytest.approx(1.0)  # half of the way down
    assert found[20] == pytest.approx(0.0) and found[4:] == sorted(found[4:], reverse=True)
