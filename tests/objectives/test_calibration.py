"""How far certainty and frequency lie apart."""

import pytest
import torch

from lowland.errors import SpaceError
from lowland.objectives import calibration_error


def test_who_is_as_often_right_as_sure_has_no_error():
    certainty = torch.full((10,), 0.8)
    assert calibration_error(torch.arange(10) < 8, certainty) == pytest.approx(0, abs=1e-6)
    assert calibration_error(torch.arange(10) < 5, certainty) == pytest.approx(0.3, abs=1e-6)


def test_errors_of_different_certainties_do_not_cancel():
    certainty = torch.cat([torch.full((10,), 0.9), torch.full((10,), 0.55)])
    right = torch.cat([torch.arange(10) < 7, torch.arange(10) < 9])
    assert calibration_error(right, certainty) == pytest.approx((0.2 + 0.35) / 2, abs=1e-6)


def test_one_is_a_certainty_and_two_is_none():
    assert calibration_error(torch.tensor([True]), torch.ones(1)) == 0
    for certainty in (torch.tensor([2.0]), torch.zeros(0)):
        with pytest.raises(SpaceError, match="certainties from 0 to 1"):
            calibration_error(torch.ones(len(certainty), dtype=torch.bool), certainty)
