"""Rollouts of world models, what plans cost, and how sure the model is."""

import pytest
import torch

from lowland.energy import Forecast, Function, GoalDistance, KnownModel, QuadraticCost, Rollout, WorldModel
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.spaces import Binary, Box, Real


class Pushed(WorldModel):
    """Three versions that disagree about the strength of a push, and a z that is a wind."""

    def __init__(self):
        super().__init__(Real(2), Box(-1, 1, 2), Real(2))
        self.strength = torch.nn.Parameter(torch.tensor([0.5, 1.0, 1.5]))

    @property
    def versions(self):
        return 3

    def step(self, s, a, z=None):
        return s + (self.strength[:, None, None] * a).tanh() + 0.1 * z


def linear() -> KnownModel:
    return KnownModel(lambda s, a: s + a, Real(2), Real(2))


def test_a_rollout_is_step_after_step():
    model = Pushed()
    s, a, z = torch.randn(4, 2), torch.rand(4, 5, 2), torch.randn(4, 5, 2)
    future = model.rollout(s, a, z)
    assert future.shape == (3, 4, 5, 2)
    now = s.expand(3, 4, 2)
    for t in range(5):
        now = model.step(now, a[:, t], z[:, t])
        torch.testing.assert_close(future[:, :, t], now)


def test_candidates_share_the_state_they_start_from():
    model = Pushed()
    s, a, z = torch.randn(4, 2), torch.rand(7, 4, 5, 2), torch.randn(5, 2)
    future = model.rollout(s, a, z)
    assert future.shape == (3, 7, 4, 5, 2)
    torch.testing.assert_close(future[:, 6], model.rollout(s, a[6], z))


def test_checkpoints_change_memory_and_nothing_else():
    model = Pushed()
    s, z = torch.randn(4, 2), torch.randn(4, 5, 2)
    slopes = []
    for checkpoint in (False, True):
        a = torch.full((4, 5, 2), 0.3, requires_grad=True)
        model.rollout(s, a, z, checkpoint=checkpoint).square().sum().backward()
        slopes.append((a.grad, model.strength.grad.clone()))
        model.strength.grad = None
    torch.testing.assert_close(slopes[0], slopes[1])


def test_a_plan_costs_what_its_steps_cost():
    Q, R = torch.diag(torch.tensor([1.0, 2.0])), torch.diag(torch.tensor([0.5, 0.1]))
    energy = Rollout(linear(), QuadraticCost(Q, R), 2, final=QuadraticCost(3 * Q), discount=0.5)
    s, a = torch.tensor([[1.0, 0.0]]), torch.tensor([[[1.0, 1.0], [0.0, -1.0]]])
    wanted = (0.5 + 0.3) + 0.5 * (0.5 * (4 + 2) + 0.05) + 0.25 * 3 * 0.5 * 4
    assert energy(s=s, a=a).item() == pytest.approx(wanted)


def test_the_last_action_costs_itself_alone_without_a_final_cost():
    energy = Rollout(linear(), QuadraticCost(torch.eye(2)), 3)
    slope = energy.gradient("a", s=torch.randn(4, 2), a=torch.randn(4, 3, 2))
    assert (slope[:, -1] == 0).all() and (slope[:, 0] != 0).all()


def test_a_goal_is_a_variable_of_the_plan():
    energy = Rollout(linear(), GoalDistance(Real(2)), 2, final=GoalDistance(Real(2)))
    assert set(energy.spaces) == {"s", "a", "goal"}
    s, goal = torch.zeros(3, 2), torch.randn(3, 2)
    a = torch.stack([goal, torch.zeros(3, 2)], 1)
    torch.testing.assert_close(energy(s=s, a=a, goal=goal), 0.5 * goal.square().sum(-1))


@pytest.mark.parametrize("power", [2.0, 1.0, 0.5])
def test_a_goal_may_count_by_any_power_of_the_distance(power):
    space, scale = Real(2, 2), torch.tensor([[1.0, 2.0], [4.0, torch.inf]])
    away = torch.tensor([[2.0, 4.0], [4.0, 9.0]])  # three units: 2, 2 and 1
    cost, goal = GoalDistance(space, scale, power), torch.randn(2, 2)
    torch.testing.assert_close(cost(s=goal + away, goal=goal), torch.tensor(3**power / power))
    slope = cost.gradient("s", s=torch.stack([goal, goal + 1e-3]), goal=goal)
    assert slope.isfinite().all() and (slope[0] == 0).all()
    assert cost(s=goal, goal=goal).item() == pytest.approx(0, abs=1e-8)


def test_a_low_power_pays_for_the_way_round():
    """Three steps along a detour of three units that ends at the goal, or one unit away from it for good."""
    round_about, beside = torch.tensor([[1.0], [3.0], [2.0], [0.0]]), torch.ones(4, 1)
    cheaper = [
        GoalDistance(Real(1), power=p)(s=torch.stack([round_about, beside]), goal=torch.zeros(1)).sum(-1).argmin()
        for p in (2.0, 0.1)
    ]
    assert cheaper == [1, 0]


def test_no_power_of_a_distance_is_refused():
    with pytest.raises(SpaceError, match="power > 0"):
        GoalDistance(Real(2), power=0.0)


def test_only_the_end_may_count():
    energy = Rollout(linear(), None, 2, final=GoalDistance(Real(2)), discount=0.5)
    s, a, goal = torch.randn(3, 2), torch.randn(3, 2, 2), torch.randn(3, 2)
    torch.testing.assert_close(energy(s=s, a=a, goal=goal), 0.25 * 0.5 * (s + a.sum(1) - goal).square().sum(-1))
    with pytest.raises(StructureError, match="neither"):
        Rollout(linear(), None, 2)


def test_versions_count_by_their_mean_and_what_is_hardwired_by_the_worst():
    model, wind = Pushed(), torch.zeros(1, 1, 2)
    s, a = torch.zeros(1, 2), torch.ones(1, 1, 2)
    reached = torch.tensor([0.5, 1.0, 1.5]).tanh()
    nothing = Function(lambda a: 0 * a.sum(-1), a=Box(-1, 1, 2))
    final = Function(lambda s: s[:, 0], s=Real(2))
    assert Rollout(model, nothing, 1, final=final)(s=s, a=a, z=wind).item() == pytest.approx(reached.mean().item())
    two = Rollout(model, nothing, 2, hardwired=final)
    energy = two(s=s, a=a.expand(1, 2, 2), z=wind.expand(1, 2, 2))
    assert energy.item() == pytest.approx(reached[2].item())


def test_what_is_hardwired_can_forbid_and_cannot_learn():
    wall = Function(lambda s: torch.where(s[:, 0] > 1, torch.inf, 0.0), s=Real(2))
    energy = Rollout(linear(), QuadraticCost(torch.eye(2)), 2, hardwired=wall)
    a = torch.tensor([[[2.0, 0.0], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.0]]])
    assert energy(s=torch.zeros(2, 2), a=a).isinf().tolist() == [True, False]
    learning = QuadraticCost(torch.eye(2))
    learning.Q = torch.nn.Parameter(learning._buffers.pop("Q"))
    with pytest.raises(StructureError, match="must not learn"):
        Rollout(linear(), QuadraticCost(torch.eye(2)), 2, hardwired=learning)
    Rollout(linear(), QuadraticCost(torch.eye(2)), 2, hardwired=learning.requires_grad_(False))


def test_doubt_is_the_variance_of_what_a_step_costs():
    model = Pushed()
    energy = Rollout(model, Function(lambda s: s[:, 0], s=Real(2)), 3, uncertainty=2.0)
    sure = Rollout(model, Function(lambda s: s[:, 0], s=Real(2)), 3)
    s, a, z = torch.randn(4, 2), torch.rand(4, 3, 2), torch.zeros(4, 3, 2)
    doubt = energy.doubt(s, a, z)
    states = torch.cat([s.expand(3, 4, 1, 2) if s.ndim == 4 else s[None, :, None].expand(3, 4, 1, 2),
                        model.rollout(s, a, z)[:, :, :-1]], 2)  # fmt: skip
    torch.testing.assert_close(doubt, states[..., 0].var(0, correction=0))
    assert (doubt[:, 0] == 0).all() and (doubt[:, 1:] > 0).all()
    torch.testing.assert_close(energy(s=s, a=a, z=z) - sure(s=s, a=a, z=z), 2 * doubt.sum(-1))


def test_calibrated_doubt_counts_above_what_is_usual():
    energy = Rollout(Pushed(), Function(lambda s: s[:, 0], s=Real(2)), 3, uncertainty=1.0)
    sure = Rollout(energy.model, energy.cost, 3)
    s, z = torch.zeros(50, 2), torch.zeros(50, 3, 2)
    usual, bold = 0.1 + 0.1 * torch.rand(50, 3, 2), torch.ones(50, 3, 2)
    energy.calibrate(s, usual, z)
    extra = energy(s=s, a=usual, z=z) - sure(s=s, a=usual, z=z)
    assert (extra >= 0).all() and extra.mean() < 2
    assert (energy(s=s, a=bold, z=z) - sure(s=s, a=bold, z=z) > 10 * extra.mean()).all()
    torch.testing.assert_close(energy.unusual_doubt(s, usual, z).sum(-1), extra, atol=1e-4, rtol=1e-4)


def test_a_forecast_is_right_where_every_version_is():
    energy = Forecast(linear(), 2)
    s, a = torch.randn(3, 2), torch.randn(3, 2, 2)
    y = energy.model.rollout(s, a)[0]
    torch.testing.assert_close(energy(s=s, a=a, y=y), torch.zeros(3))
    torch.testing.assert_close(energy(s=s, a=a, y=y + 1), torch.full((3,), 2.0))


def test_every_version_has_an_energy_of_its_own():
    """A forecast is their mean; one that is weighed alone moves its own strength and no other."""
    energy, draw = Forecast(Pushed(), 2), torch.Generator().manual_seed(0)
    values = energy.example_values(4, draw) | {"a": torch.ones(4, 2, 2)}
    each = energy.of_versions(**values)
    assert each.shape == (3, 4)
    torch.testing.assert_close(each.mean(0), energy(**values))
    each[1].sum().backward()
    assert (energy.model.strength.grad != 0).tolist() == [False, True, False]


def test_what_does_not_fit_is_refused():
    model = Pushed()
    with pytest.raises(SpaceError, match="z"):
        model.rollout(torch.zeros(1, 2), torch.zeros(1, 3, 2))
    with pytest.raises(SpaceError, match="same time"):
        model.rollout(torch.zeros(1, 2), torch.zeros(1, 3, 2), torch.zeros(1, 4, 2))
    with pytest.raises(StructureError, match="disagree"):
        Rollout(linear(), QuadraticCost(torch.eye(2)), 2, uncertainty=1.0)
    with pytest.raises(VariableError, match="cost"):
        Rollout(linear(), QuadraticCost(torch.eye(3)), 2)
    with pytest.raises(SpaceError, match="horizon"):
        Rollout(linear(), QuadraticCost(torch.eye(2)), 0)
    with pytest.raises(SpaceError, match="Binary"):
        Rollout(KnownModel(lambda s, a: s, Real(2), Binary(2)), QuadraticCost(torch.eye(2)), 2)
