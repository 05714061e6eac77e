"""What a moment of driving costs, and where its slopes lead."""

import pytest
import torch

from lowland.data.traffic import EACH, OWN, SIGHT, STATE
from lowland.environments.driving_cost import DrivingCost


def alone(y: float = 2.0, speed: float = 12.0) -> torch.Tensor:
    """Nobody is near, in a lane's middle, as fast as one wants."""
    s = torch.zeros(STATE)
    s[0], s[1] = y, speed
    s[OWN::EACH] = SIGHT * torch.tensor([1.0, -1.0] * 3)
    return s


def test_what_costs_nothing_and_what_does():
    cost = DrivingCost()
    assert cost(s=alone()).item() == pytest.approx(0, abs=1e-6)
    assert cost(s=alone(4.0)).item() == pytest.approx(0.2, abs=1e-6)  # on a line
    assert cost(s=alone(-2.0)).item() == pytest.approx(0, abs=1e-6)  # beside the road, of which it does not know
    assert cost(s=alone(speed=6.0)).item() == pytest.approx(1 / 4, rel=1e-5)
    near = alone()
    near[OWN + 2 * EACH] = 5.0  # it touches the one in front
    assert cost.near(near).item() == pytest.approx(1.0, rel=1e-5)


def test_a_slope_leads_away_from_who_is_near():
    s = alone().requires_grad_()
    with torch.no_grad():
        s[OWN + 2 * EACH : OWN + 2 * EACH + 3] = torch.tensor([12.0, 0.5, -2.0])
    slope = torch.autograd.grad(DrivingCost().near(s), s)[0]
    along, across, faster = slope[OWN + 2 * EACH : OWN + 2 * EACH + 3]
    assert along < 0 and across < 0 and faster < 0 and slope[1] > 0  # further off, aside, not closing in, slower
