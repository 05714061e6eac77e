"""Films that are followed: surprise where one departs from what was expected, whatever comes later."""

import pytest
import torch

from lowland.energy import Filtered
from lowland.energy.filtered import Drift
from lowland.errors import SpaceError
from lowland.inference import infer
from lowland.objectives import EnergyLoss
from lowland.spaces import Real


def drifting(noise: float = 0.5) -> Filtered:
    energy = Filtered(Drift(2), Real(4, 2), Real(4, 2), noise)
    energy.network.v.data = torch.tensor([1.0, -1.0])
    return energy


def film(frames: int = 4) -> torch.Tensor:
    return torch.arange(frames)[None, :, None] * torch.tensor([1.0, -1.0])


def test_what_drifts_as_expected_surprises_nobody_and_a_jump_does_when_it_comes():
    energy, y = drifting(), film()
    assert (energy.surprise(y) == 0).all()
    y[:, 2:] += 4.0
    found = energy.surprise(y)
    assert (found[:, :2] == 0).all() and (found[:, 2] > 8).all() and (found[:, 3] < found[:, 2]).all()


def test_surprise_sums_to_the_energy():
    energy, y, z = drifting(), torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    steps = (z[:, 1:] - z[:, :-1] - torch.tensor([1.0, -1.0])).square().sum((1, 2))
    torch.testing.assert_close(energy(y=y, z=z), 2 * (y - z).square().sum((1, 2)) + 0.5 * steps)
    torch.testing.assert_close(energy.surprise(y, z).sum(1), energy(y=y, z=z))
    torch.testing.assert_close(energy.surprise(y).sum(1), energy(y=y, z=energy.find(y)))
    assert not torch.allclose(energy.surprise(y).sum(1), energy(y=y, z=y))


def test_a_filter_knows_nothing_of_what_comes_later():
    energy, y = drifting(), torch.randn(2, 4, 2)
    later = y.clone()
    later[:, 2:] += 3.0
    assert torch.equal(energy.find(y)[:, :2], energy.find(later)[:, :2])
    assert torch.equal(energy.surprise(y)[:, :2], energy.surprise(later)[:, :2])


def test_who_sees_all_of_the_film_finds_lower_states():
    energy, y = drifting(), film() + torch.randn(5, 4, 2)
    lowest = infer(energy, "z", y=y).energy
    assert (lowest <= energy.surprise(y).sum(1) + 1e-4).all()
    assert (energy.surprise(y).sum(1) < energy(y=y, z=film().expand(5, -1, -1))).float().mean() > 0.5


def test_lowering_it_where_z_was_found_learns_the_drift():
    torch.manual_seed(0)
    energy = Filtered(Drift(2), Real(4, 2), Real(4, 2), 0.5)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.05)
    for _ in range(200):
        y = film() + 0.1 * torch.randn(16, 4, 2)
        optimizer.zero_grad()
        EnergyLoss()(energy, {"y": y, "z": energy.find(y)}).value.backward()
        optimizer.step()
    torch.testing.assert_close(energy.network.v.data, torch.tensor([1.0, -1.0]), atol=0.1, rtol=0)


def test_no_noise_is_refused():
    with pytest.raises(SpaceError, match="Filtered: wanted noise > 0"):
        Filtered(Drift(2), Real(4, 2), Real(4, 2), 0.0)
