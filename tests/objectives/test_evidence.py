"""Evidence bounds: what they are worth, where their gradients point, and when a code says nothing."""

import pytest
import torch
from torch import nn

from lowland.energy import Function, LatentBits
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.inference import importance_sampling
from lowland.objectives import EvidenceBound, ImportanceWeighted, active_units
from lowland.spaces import Binary, Real

MANY = 20_000


@pytest.fixture
def energy() -> LatentBits:
    torch.manual_seed(0)
    return LatentBits.example()


@pytest.fixture
def x() -> torch.Tensor:
    """The same picture again and again, so that a mean over the batch is one over draws."""
    return torch.tensor([[1.0, 0.0], [1.0, 1.0]]).expand(MANY, 2, 2)


def test_with_one_draw_the_two_bounds_are_the_same(energy, x):
    torch.manual_seed(1)
    first = EvidenceBound()(energy, {"x": x})
    second = ImportanceWeighted(1)(energy, {"x": x})
    assert first.value.item() == pytest.approx(second.value.item(), abs=0.02)
    assert first.parts["bound"].item() == pytest.approx(first.value.item(), abs=1e-5)


def test_more_draws_come_closer_and_none_goes_below(energy, x):
    torch.manual_seed(1)
    with torch.no_grad():
        exact = importance_sampling(energy.given(x=x[:1]), energy.belief(x[:1]), 50_000).mean
        bounds = [ImportanceWeighted(k)(energy, {"x": x}).value.item() for k in (1, 2, 8)]
    assert bounds[0] > bounds[1] > bounds[2] > exact - 0.003


@pytest.mark.parametrize("draws", [1, 4])
def test_the_gradient_is_that_of_the_bound(energy, x, draws):
    """On average: the parts of ∂log q that are left out are 0 in expectation."""
    torch.manual_seed(1)
    ours = torch.autograd.grad(ImportanceWeighted(draws)(energy, {"x": x}).value, list(energy.parameters()))
    torch.manual_seed(2)
    belief = energy.belief(x)
    z = belief.draw(draws)
    log_weights = -energy(x=x, z=z) - belief.log_density(z)
    plain = torch.autograd.grad(-log_weights.logsumexp(0).mean(), list(energy.parameters()))
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, atol=0.02, rtol=0)


def test_the_weight_of_the_divergence_grows_while_training_warms_up(energy):
    x = torch.ones(4, 2, 2)
    objective = EvidenceBound(weight=2.0, warm_up=4)
    shares = []
    for _ in range(6):
        loss = objective(energy, {"x": x})
        shares.append(((loss.value - loss.parts["reconstruction"]) / loss.parts["divergence"]).item())
    assert shares == pytest.approx([0, 0.5, 1, 1.5, 2, 2], abs=1e-4)
    resumed = EvidenceBound(weight=2.0, warm_up=4)
    resumed.load_state_dict({**objective.state_dict(), "taken": 3})
    loss = resumed(energy, {"x": x})
    assert (loss.value - loss.parts["reconstruction"]).item() == pytest.approx(
        1.5 * loss.parts["divergence"].item(), abs=1e-4
    )
    with torch.no_grad():
        before = resumed.state_dict()
        resumed(energy, {"x": x})
    assert resumed.state_dict() == before


def trained(weight: float) -> tuple[LatentBits, torch.Tensor]:
    """Two pictures, one bit of information, learnt at a price."""
    torch.manual_seed(0)
    x = torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]]).repeat(32, 1)
    energy = LatentBits(nn.Linear(2, 4), nn.Linear(4, 4), Binary(4), 2)
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.03)
    objective = EvidenceBound(weight)
    for _ in range(300):
        optimizer.zero_grad()
        objective(energy, {"x": x}).value.backward()
        optimizer.step()
    return energy, x


def test_a_code_collapses_when_it_costs_more_than_it_tells():
    used, x = trained(1.0)
    silent, _ = trained(20.0)
    with torch.no_grad():
        assert active_units(used.belief(x).mean).any()
        assert not active_units(silent.belief(x).mean).any()
        found = [importance_sampling(energy.given(x=x), energy.belief(x), 200).mean for energy in (used, silent)]
    assert found[0] < 1.2  # one bit, log 2 nats, at best
    assert found[1] == pytest.approx(4 * 0.693, abs=0.1)  # four coins


def test_what_has_no_belief_is_refused(energy):
    plain = Function(lambda x, z: x * z, x=Real(), z=Real())
    for objective in (EvidenceBound(), ImportanceWeighted()):
        with pytest.raises(StructureError, match="with a `belief` and a `prior`"):
            objective(plain, {"x": torch.zeros(3)})
        with pytest.raises(VariableError, match="but not x"):
            objective(energy, {"y": torch.zeros(3)})
        with pytest.raises(SpaceError):
            objective(energy, {"x": torch.full((3, 2, 2), 0.5)})
    with pytest.raises(SpaceError, match="draws ≥ 1"):
        ImportanceWeighted(0)
    with pytest.raises(SpaceError, match="weight ≥ 0"):
        EvidenceBound(weight=-1)
