"""A sweep in closed form goes where gradient descent on contrastive divergence goes."""

import pytest
import torch

from lowland.energy import RestrictedBoltzmann
from lowland.errors import SpaceError
from lowland.inference import Gibbs, log_partition, solve
from lowland.objectives import ContrastiveDivergence, boltzmann_sweep
from lowland.spaces import Binary

MANY = 40_000


@pytest.fixture
def machine() -> RestrictedBoltzmann:
    machine = RestrictedBoltzmann(Binary(2, 2), 3)
    with torch.no_grad():
        for part in (*machine.parameters(), machine.x_origin, machine.z_origin):
            part.copy_(torch.randn_like(part))
    return machine


@pytest.fixture
def x() -> torch.Tensor:
    return torch.bernoulli(torch.tensor([[0.2, 0.7], [0.9, 0.4]]).expand(10, 2, 2)).repeat(MANY // 10, 1, 1)


def moved(machine: RestrictedBoltzmann, x: torch.Tensor, **settings) -> list[torch.Tensor]:
    """By how much each parameter changes, for a rate of one."""
    before = [parameter.detach().clone() for parameter in machine.parameters()]
    boltzmann_sweep(machine, x, rate=1.0, batch_size=len(x), generator=torch.Generator().manual_seed(0), **settings)
    after = [parameter.detach().clone() for parameter in machine.parameters()]
    with torch.no_grad():
        for parameter, old in zip(machine.parameters(), before, strict=True):
            parameter.copy_(old)
    return [new - old for new, old in zip(after, before, strict=True)]


@pytest.mark.parametrize("steps", [1, 3])
def test_chains_from_the_data_give_the_step_of_the_objective(machine, x, steps):
    objective = ContrastiveDivergence(Gibbs(), steps)
    slopes = torch.autograd.grad(objective(machine.marginalize("z"), {"x": x}).value, list(machine.parameters()))
    for change, slope in zip(moved(machine, x, steps=steps), slopes, strict=True):
        torch.testing.assert_close(change, -slope, atol=0.02, rtol=0)


def test_chains_that_have_arrived_give_the_gradient_of_the_likelihood(machine, x):
    energy = machine.marginalize("z")
    start = torch.zeros(MANY, 2, 2)
    found = solve(Gibbs(), energy, start, steps=60, generator=torch.Generator().manual_seed(1)).value
    chains = machine.draw("z", x=found)
    states = machine.spaces["x"].enumerate()
    log_z = torch.logsumexp(-energy(x=states), 0)
    torch.testing.assert_close(log_z.double(), log_partition(energy))
    slopes = torch.autograd.grad(energy(x=x).mean() + log_z, list(machine.parameters()))
    for change, slope in zip(moved(machine, x, chains=chains), slopes, strict=True):
        torch.testing.assert_close(change, -slope, atol=0.02, rtol=0)


def test_passes_over_the_data_make_them_likelier(machine):
    x = torch.bernoulli(torch.tensor([0.1, 0.9]).repeat(2, 1).expand(500, 2, 2))
    energy = machine.marginalize("z")

    def likelihood() -> float:
        with torch.no_grad():
            return -energy(x=x).mean().item() - log_partition(energy).item()

    before, chains = likelihood(), torch.zeros(50, 3)
    for _ in range(20):
        chains = boltzmann_sweep(machine, x, rate=0.05, batch_size=50, chains=chains)
    assert chains.shape == (50, 3)
    exact = torch.distributions.Bernoulli(x.mean(0)).log_prob(x).sum((1, 2)).mean().item()
    assert before < exact - 0.5
    assert likelihood() > exact - 0.05


def test_it_repeats_with_a_generator_and_leaves_the_data(machine, x):
    x, kept = x[:100], x[:100].clone()
    first, second = (moved(machine, x, chains=torch.ones(20, 3)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert (x == kept).all()


def test_mistakes_are_sentences(machine, x):
    with pytest.raises(SpaceError, match="x: wanted zeros and ones"):
        boltzmann_sweep(machine, 0.5 * x, rate=0.1)
    with pytest.raises(SpaceError, match="rate > 0"):
        boltzmann_sweep(machine, x, rate=0.0)
