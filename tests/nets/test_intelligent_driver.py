"""The intelligent driver: at rest where its formula says, and never through the leader."""

import pytest
import torch

from lowland.energy import Forecast
from lowland.nets import IntelligentDriver
from lowland.objectives import EnergyLoss
from lowland.train import fit


def test_it_settles_where_its_formula_says():
    """dv = 0, no push: s = (s₀ + v T) / √(1 − (v/v₀)⁴)."""
    driver = IntelligentDriver(0.1)
    s = torch.tensor([[40.0, 5.0, 10.0, 0.0]])
    end = driver.rollout(s, torch.zeros(1, 2000, 1))[0, 0, -1]
    assert end[1].item() == pytest.approx(10, abs=1e-2) and end[2] == 10
    assert end[0].item() == pytest.approx((2 + 10 * 1.5) / (1 - (10 / 30) ** 4) ** 0.5, rel=1e-2)


def test_it_stops_behind_who_stops():
    states = IntelligentDriver(0.1).rollout(
        torch.tensor([[30.0, 12.0, 12.0, 0.0]]), -2.0 * (torch.arange(200) < 60)[None, :, None].float()
    )
    assert states[0, 0, :, 0].min() > 1 and states[0, 0, -1, 1] < 0.2


def test_its_numbers_are_found_again():
    driver, truth = IntelligentDriver(0.5), IntelligentDriver(0.5)
    with torch.no_grad():
        truth.numbers += torch.tensor([0.3, 0.0, 0.0, 1.0, -0.5])
    draw = torch.Generator().manual_seed(0)
    s = torch.tensor([10.0, 5.0, 5.0, 0.0]) + torch.tensor([20.0, 5.0, 5.0, 0.0]) * torch.rand(200, 4, generator=draw)
    a = torch.randn(200, 10, 1, generator=draw)
    y = truth.rollout(s, a)[0].detach()
    forecast = Forecast(driver, 10)
    before = forecast(s=s, a=a, y=y).mean()
    fit(forecast, {"s": s, "a": a, "y": y}, EnergyLoss(), epochs=30, optimizer=lambda p: torch.optim.Adam(p, lr=0.03))
    assert forecast(s=s, a=a, y=y).mean() < 0.05 * before
