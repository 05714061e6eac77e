"""Moments of traffic: those that tell something are chosen, and drawn where they are."""

import pytest
import torch

from lowland.data.traffic import EACH, OWN, SIGHT, STATE
from lowland.report.road import SHOWN, moments, telling


@pytest.fixture
def futures():
    """Sixteen drivers in a lane's middle with one neighbour ahead; where it gets to is unsure for the last ones."""
    s = torch.zeros(16, STATE)
    s[:, 0] = 6.0
    s[:, OWN::EACH] = SIGHT
    s[:, OWN + 2 * EACH] = 12.0
    y = s[:, None].repeat(1, 3, 1)
    drawn = y.repeat(5, 1, 1, 1)
    drawn[..., OWN + 2 * EACH] += torch.arange(-2, 3.0)[:, None, None] * torch.arange(16)[:, None] / 16
    drawn[..., OWN] += 100 * torch.randn(5, 16, 3)  # of nobody
    return {"s": s, "y": y}, y, drawn


def test_those_are_chosen_whose_futures_differ(futures):
    runs, blurred, drawn = futures
    chosen = telling(runs, blurred, drawn, count=3)
    assert len(chosen) == 3
    widths = [float(moment.drawn[:, -1, OWN + 2 * EACH].std(0)) for moment in chosen]
    every = drawn[:, :, -1, OWN + 2 * EACH].std(0)
    assert widths == pytest.approx(every.topk(3).values.tolist())


def test_the_road_its_cars_and_who_gets_through_are_drawn(futures):
    runs, blurred, drawn = futures
    figure = moments(telling(runs, blurred, drawn), {"one": 80.0, "another": 20.0}, lanes=3, lane=4.0)
    *roads, bars = figure.axes
    assert len(roads) == 4 and len(bars.patches) == 2
    longer, shorter = (bar.get_extents().width for bar in bars.patches)
    assert longer == pytest.approx(4 * shorter)
    for axes in roads:
        assert axes.get_xlim() == (-SHOWN, SHOWN) and len(axes.patches) == 2  # itself, and the only neighbour
        middles = [patch.get_extents().get_points().mean(0) for patch in axes.patches]
        places = axes.transData.inverted().transform(middles)
        assert places.round(3).tolist() == [[12.0, 6.0], [0.0, 6.0]]
