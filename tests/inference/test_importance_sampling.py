"""Free energies by importance sampling, against an integral that is known and one on a lattice."""

import pytest
import torch

from lowland.energy import Function, GaussianBelief, LatentBits, Quadratic
from lowland.errors import DivergenceError, SpaceError
from lowland.inference import importance_sampling
from lowland.spaces import Real


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_an_integral_known_in_closed_form(generator):
    torch.manual_seed(0)
    y, W = torch.randn(7, 5), torch.randn(5, 2) / 2
    gram = W.T @ W + torch.eye(2)
    quadratic = Quadratic(gram, "z").given(linear=y @ W, constant=0.5 * y.square().sum(-1))
    exact = quadratic.marginalize("z")()
    belief = GaussianBelief(torch.linalg.solve(gram, (y @ W).T).T, torch.ones(7, 2))
    found = importance_sampling(quadratic, belief, 4000, rows=3, at_once=900, generator=generator)
    assert found.value.dtype == torch.float64
    torch.testing.assert_close(found.value.float(), exact, atol=0.06, rtol=0)
    assert ((found.effective > 500) & (found.effective <= 4000)).all()
    assert found.mean == pytest.approx(found.value.mean().item())
    assert found.interval == pytest.approx(1.96 * found.value.std().item() / 7**0.5)


def test_one_draw_is_the_evidence_bound_and_more_come_closer(generator):
    torch.manual_seed(0)
    energy = LatentBits.example()
    x = energy.spaces["x"].enumerate()
    line = torch.linspace(-7, 7, 141)
    z = torch.cartesian_prod(line, line)
    with torch.no_grad():
        exact = -(-energy(x=x[:, None], z=z)).logsumexp(1) - 2 * torch.log(torch.tensor(0.1))
        belief = energy.belief(x)
    assert (-exact).exp().sum().item() == pytest.approx(1, abs=1e-4)
    many = torch.arange(16).repeat(200)
    means = [
        importance_sampling(energy.given(x=x[many]), belief.select(many), draws, rows=800, generator=generator).mean
        for draws in (1, 5, 100)
    ]
    assert means[0] > means[1] > means[2] > exact.mean().item() - 0.01
    assert means[2] == pytest.approx(exact.mean().item(), abs=0.02)


def test_the_same_numbers_come_out_however_the_work_is_cut():
    energy = LatentBits.example()
    x = energy.spaces["x"].enumerate()
    with torch.no_grad():
        belief = energy.belief(x)
        found = [
            importance_sampling(
                energy.given(x=x), belief, 6, rows=16, at_once=k, generator=torch.Generator().manual_seed(3)
            )
            for k in (6, 6)
        ]
    torch.testing.assert_close(found[0].value, found[1].value)
    assert (found[0].effective <= 6 + 1e-6).all() and (found[0].effective >= 1 - 1e-6).all()


def test_what_can_not_be_weighed_is_refused(generator):
    belief = GaussianBelief(torch.zeros(2, 1), torch.ones(2, 1))
    broken = Function(lambda x, z: x * z[..., 0] / 0, x=Real(), z=Real(1)).given(x=torch.tensor([1.0, 0.0]))
    with pytest.raises(DivergenceError, match="a weight of sample 0 is not finite"):
        importance_sampling(broken, belief, 4, generator=generator)
    with pytest.raises(SpaceError, match="draws, rows and at_once ≥ 1"):
        importance_sampling(broken, belief, 0)
