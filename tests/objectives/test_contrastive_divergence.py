"""Contrastive divergence: at the truth it has no slope, from elsewhere it finds it; its memory survives, runaways are caught."""

import pytest
import torch
from torch import nn

from lowland.energy import Energy, Function
from lowland.errors import DivergenceError, SpaceError, StructureError
from lowland.inference import HMC, MALA, Gibbs, GradientDescent, Langevin
from lowland.objectives import (
    ContrastiveDivergence,
    Guard,
    PersistentContrastiveDivergence,
    ReplayContrastiveDivergence,
    shuffled,
)
from lowland.spaces import Binary, Real


class Gaussian(Energy):
    """½ k (x − m)²."""

    def __init__(self, k=1.0, m=0.0):
        super().__init__(x=Real(1))
        self.k, self.m = nn.Parameter(torch.tensor(k)), nn.Parameter(torch.tensor(m))

    def energies(self, x):
        return 0.5 * self.k * (x - self.m).square().sum(-1)


def slope(objective, energy, x):
    loss = objective(energy, {"x": x}).value
    return torch.cat([part.reshape(-1) for part in torch.autograd.grad(loss, list(energy.parameters()))])


def trained(objective, energy, x, steps=300, rate=0.05):
    optimizer = torch.optim.SGD(energy.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(energy, {"x": x}).value.backward()
        optimizer.step()
    return energy


def test_chains_at_the_truth_leave_no_slope_and_elsewhere_one(truth, boltzmann):
    x = truth.population(4000)
    objective = ContrastiveDivergence(Gibbs(), steps=2)
    assert slope(objective, truth, x).abs().max() < 0.05
    assert slope(objective, boltzmann(), x).abs().max() > 0.1


def test_bits_are_learnt_as_by_maximum_likelihood(truth, boltzmann):
    x = truth.population(2000)
    energy = trained(PersistentContrastiveDivergence(Gibbs(), steps=1), boltzmann(), x, steps=400, rate=0.5)
    assert truth.difference(energy) < 0.5
    assert truth.difference(boltzmann()) > 1.5


@pytest.mark.parametrize(
    "objective",
    [
        ContrastiveDivergence(HMC(0.3, leapfrog=5), steps=5, guard=Guard(0.0)),
        PersistentContrastiveDivergence(Langevin(0.02), steps=10, guard=Guard(0.0)),
        PersistentContrastiveDivergence(MALA(0.1), steps=5, fast_rate=0.01, guard=Guard(0.0)),
        ReplayContrastiveDivergence(MALA(0.2), steps=20, capacity=2000, guard=Guard(0.0)),
    ],
    ids=lambda objective: f"{type(objective).__name__}-{type(objective.sampler).__name__}",
)
def test_a_gaussian_is_learnt_with_any_sampler(objective):
    x = 0.5 * torch.randn(1000, 1) + 1.0
    energy = trained(objective, Gaussian(), x, rate=0.2)
    assert energy.m.item() == pytest.approx(x.mean().item(), abs=0.15)
    assert energy.k.item() == pytest.approx(1 / x.var().item(), rel=0.25)


def test_the_energies_are_regularised_only_where_the_variable_can_run_away(truth):
    x = torch.randn(50, 1)
    torch.manual_seed(1)
    plain = ContrastiveDivergence(Langevin(0.01), guard=Guard(0.0))(Gaussian(), {"x": x})
    torch.manual_seed(1)
    guarded = ContrastiveDivergence(Langevin(0.01))(Gaussian(), {"x": x})
    assert guarded.value > plain.value
    bits = ContrastiveDivergence(Gibbs())(truth, {"x": truth.population(50)})
    torch.testing.assert_close(bits.value.detach(), -bits.parts["gap"])


def test_fast_weights_push_the_chains_and_fade():
    objective = PersistentContrastiveDivergence(Langevin(0.01), fast_rate=0.1, fast_decay=0.5)
    energy, x = Gaussian(), torch.randn(100, 1) + 3
    before = [parameter.clone() for parameter in energy.parameters()]
    objective(energy, {"x": x}).value.backward()
    fast = objective.state_dict()["fast"]
    assert fast["m"] > 0  # downhill: towards the data
    assert all(bool((now == then).all()) for now, then in zip(energy.parameters(), before, strict=True))
    with objective.pushed(energy):
        assert energy.m > before[1]
    assert energy.m == before[1]


@pytest.mark.parametrize("cls", [PersistentContrastiveDivergence, ReplayContrastiveDivergence])
def test_from_its_memory_it_goes_on_to_the_last_bit(cls):
    def steps(objective, count):
        torch.manual_seed(7)
        return [objective(energy, {"x": x}).value.item() for _ in range(count)]

    x, energy = torch.randn(20, 1), Gaussian()
    first, again = (cls(MALA(0.3)) for _ in range(2))
    steps(first, 3)
    again.load_state_dict(first.state_dict())
    assert steps(again, 3) == steps(first, 3)


def test_replayed_chains_begin_anew_sometimes():
    objective = ReplayContrastiveDivergence(Langevin(1e-9), steps=1, capacity=50, fresh=0.5)
    objective.begin = lambda data, count: torch.full((count, 1), 100.0)
    energy = Gaussian(k=0.0)
    objective(energy, {"x": torch.zeros(40, 1)})
    objective.begin = lambda data, count: torch.full((count, 1), -100.0)
    start = objective.start(energy, torch.zeros(400, 1))
    assert 0.4 < (start < 0).float().mean() < 0.6


def test_a_step_too_long_is_halved_and_the_chains_begin_again():
    objective = ContrastiveDivergence(Langevin(3.0), steps=30)
    loss = objective(Gaussian(k=1.0), {"x": torch.randn(20, 1)})
    assert torch.isfinite(loss.value)
    assert objective.guard.factor < 1
    small = objective.guard.factor
    objective(Gaussian(k=0.1), {"x": torch.randn(20, 1)})
    assert objective.guard.factor > small


def test_a_sampler_that_proposes_is_tuned():
    objective = ContrastiveDivergence(MALA(1e-3), steps=5)
    for _ in range(60):
        objective(Gaussian(), {"x": torch.randn(50, 1)})
    assert objective.guard.factor > 5


def test_weights_that_went_wrong_go_back_to_the_last_good_ones():
    energy, x = Gaussian(), torch.randn(20, 1)
    objective = ContrastiveDivergence(Langevin(0.01), steps=3)
    objective(energy, {"x": x})
    energy.k.data.fill_(torch.nan)
    assert torch.isfinite(objective(energy, {"x": x}).value)
    assert energy.k == 1.0


def test_a_diverging_chain_stops_training_with_step_and_energy_and_good_weights():
    energy, x = Gaussian(), torch.randn(20, 1)
    objective = ContrastiveDivergence(Langevin(0.01), steps=3, guard=Guard(rollbacks=2))
    objective(energy, {"x": x})
    with pytest.raises(DivergenceError, match=r"training step 4, with energy (-|nan|inf).*weights are those of step 1"):
        for _ in range(10):
            energy.k.data.fill_(-1e9)  # a landscape without a bottom
            objective(energy, {"x": x})
    assert energy.k == 1.0


def test_a_landscape_without_a_bottom_is_reported_before_any_good_step():
    with pytest.raises(DivergenceError, match="training step 1"):
        ContrastiveDivergence(Langevin(1.0), steps=50)(Gaussian(k=-9.0), {"x": torch.randn(20, 1)})


def test_shuffled_noise_has_the_scale_of_each_entry():
    data = torch.stack([torch.zeros(50), torch.arange(50.0)], 1)
    noise = shuffled(data, 30)
    assert noise.shape == (30, 2) and bool((noise[:, 0] == 0).all())
    assert set(noise[:, 1].tolist()) <= set(data[:, 1].tolist())


def test_bad_input_is_refused(truth):
    with pytest.raises(StructureError, match="wanted a sampler"):
        ContrastiveDivergence(GradientDescent())
    with pytest.raises(SpaceError, match="wanted zeros and ones"):
        ContrastiveDivergence(Gibbs())(truth, {"x": torch.full((2, 4), 0.3)})
    conditional = Function(lambda x, y: (x - y).square(), x=Real(), y=Real())
    with pytest.raises(StructureError, match="outlive their batch"):
        PersistentContrastiveDivergence(Langevin(0.1))(conditional, {"x": torch.zeros(2), "y": torch.zeros(2)})


def test_energies_of_bits_are_not_tied_to_zero_however_many_they_are():
    for space, weight in ((Binary(3), 0.0), (Binary(40), 0.0), (Real(3), 0.01)):
        assert Guard().weight(Function(lambda x: x.sum(-1), x=space)) == weight
