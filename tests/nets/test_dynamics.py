"""Networks as world models: versions are separate worlds, units come from the data."""

import pytest
import torch

from lowland.energy import Forecast, Function, Rollout
from lowland.errors import UsageError
from lowland.nets import Dynamics
from lowland.spaces import Box, Categorical, Real

STATE, ACTION = Real(3), Box(-1, 1, 2)


def test_members_are_networks_of_their_own():
    model = Dynamics(STATE, ACTION, (8, 8), members=4)
    s, a = torch.randn(5, 3), torch.rand(5, 6, 2)
    future = model.rollout(s, a)
    assert future.shape == (4, 5, 6, 3)
    for member in range(4):
        alone = Dynamics(STATE, ACTION, (8, 8))
        for one, all_of in zip(alone.parameters(), model.parameters(), strict=True):
            one.data = all_of.data[[member]]
        torch.testing.assert_close(alone.rollout(s, a)[0], future[member])


def test_a_mask_is_the_same_world_in_every_step_and_every_call():
    model = Dynamics(STATE, ACTION, (32,), dropout=0.3, masks=5).eval()
    s, a = torch.randn(4, 3), torch.rand(4, 3, 2)
    future = model.rollout(s, a)
    assert future.shape == (5, 4, 3, 3) and future.var(0).min() > 0
    assert (model.rollout(s, a) == future).all()
    model.train()
    assert model.versions == 1 and (model.rollout(s, a) != model.rollout(s, a)).any()


@pytest.mark.parametrize(
    "options", [{"members": 3}, {"members": 1}, {"dropout": 0.3, "masks": 4}, {"z": Real(2), "members": 2}]
)
@pytest.mark.parametrize("count", [5, 3000])
def test_with_slopes_and_without_it_says_the_same(options, count):
    model = Dynamics(STATE, ACTION, (64, 64), **options).eval()
    s, a = torch.randn(count, 3), torch.rand(count, 2, 2)
    model.fit_scale(torch.randn(9, 3), torch.rand(9, 2), torch.randn(9, 3))
    z = torch.randn(count, 2, 2) if "z" in options else None
    for bias in model.biases:
        bias.data.normal_()
    with torch.no_grad():
        columns = model.rollout(s, a, z)
    torch.testing.assert_close(model.rollout(s, a, z).detach(), columns, atol=1e-4, rtol=1e-4)


def test_masks_and_units_are_kept_with_the_weights():
    model = Dynamics(STATE, ACTION, (16,), dropout=0.5, masks=3).eval()
    model.fit_scale(torch.randn(9, 3), torch.rand(9, 2), torch.randn(9, 3))
    other = Dynamics(STATE, ACTION, (16,), dropout=0.5, masks=3).eval()
    other.load_state_dict(model.state_dict())
    s, a = torch.randn(4, 3), torch.rand(4, 3, 2)
    torch.testing.assert_close(other.rollout(s, a), model.rollout(s, a))


def test_a_change_is_predicted_in_its_own_units():
    """A network that says 1 everywhere moves each entry by its usual change; one that says 0 leaves the state as it is."""
    model = Dynamics(STATE, ACTION, (4,))
    s, a = 100 + torch.randn(50, 3), torch.rand(50, 2)
    change = torch.tensor([0.01, 1.0, 10.0])
    model.fit_scale(s, a, s + change)
    with torch.no_grad():
        model.weights[-1].zero_()
        torch.testing.assert_close(model.rollout(s, a.unsqueeze(1))[0, :, 0], s)
        model.biases[-1].fill_(1.0)
    torch.testing.assert_close(model.rollout(s, a.unsqueeze(1))[0, :, 0], s + change)


def test_it_learns_what_happens():
    torch.manual_seed(0)
    s, a = torch.randn(500, 3), torch.rand(500, 1, 2) * 2 - 1
    y = (s + 0.1 * torch.cat([a[:, 0], s[:, :1].sin()], -1)).unsqueeze(1)
    model = Dynamics(STATE, ACTION, (32, 32), members=2)
    model.fit_scale(s, a[:, 0], y[:, 0])
    forecast = Forecast(model)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    before = forecast(s=s, a=a, y=y).mean().item()
    for _ in range(200):
        optimizer.zero_grad()
        forecast(s=s, a=a, y=y).mean().backward()
        optimizer.step()
    assert forecast(s=s, a=a, y=y).mean().item() < 0.02 * before


def test_z_changes_what_comes():
    model = Dynamics(STATE, ACTION, (8,), z=Real(2))
    s, a = torch.randn(4, 3), torch.rand(4, 5, 2)
    z = torch.zeros(4, 5, 2)
    z[2:, 2] = 1
    same, other = model.rollout(s, a, torch.zeros_like(z))[0], model.rollout(s, a, z)[0]
    assert (same[:2] == other[:2]).all() and (same[2:, :2] == other[2:, :2]).all()
    assert (same[2:, 2:] != other[2:, 2:]).all()


def test_an_ensemble_doubts_where_it_has_seen_nothing():
    torch.manual_seed(0)
    s, a = 0.3 * torch.randn(400, 3), torch.rand(400, 1, 2) - 0.5
    model = Dynamics(STATE, ACTION, (32,), members=5)
    y = s.unsqueeze(1) + 0.1 * s.unsqueeze(1).sin()
    model.fit_scale(s, a[:, 0], y[:, 0])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        Forecast(model)(s=s, a=a, y=y).mean().backward()
        optimizer.step()
    energy = Rollout(model, Function(lambda s: s.square().sum(-1), s=STATE), 3)
    here = energy.doubt(s[:50], a[:50].expand(50, 3, 2))
    there = energy.doubt(s[:50] + 5, a[:50].expand(50, 3, 2))
    assert there[:, -1].mean() > 100 * here[:, -1].mean()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Dynamics(Real(2, 3), ACTION),
        lambda: Dynamics(STATE, Categorical(3)),
        lambda: Dynamics(STATE, ACTION, members=2, dropout=0.1),
        lambda: Dynamics(STATE, ACTION, masks=4),
        lambda: Dynamics(STATE, ACTION, members=0),
    ],
)
def test_impossible_settings_are_refused(make):
    with pytest.raises(UsageError, match="wanted"):
        make()
