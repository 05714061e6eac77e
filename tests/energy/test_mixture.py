"""The Gaussian mixture against scipy, numerical integration and conditioning done by hand."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from lowland import Partial, infer
from lowland.energy import GaussianMixture, Tabulated
from lowland.errors import SpaceError
from lowland.spaces import Categorical, Real


def mixture(dim: int, **choices: Categorical) -> GaussianMixture:
    """One whose components all differ."""
    energy = GaussianMixture(Real(dim), **choices).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.copy_(parameter + 0.25 * torch.randn(parameter.shape))
    return energy


def densities(energy: GaussianMixture) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """(log weight, mean, covariance) of each component in a row, by numpy."""
    weights = energy.log_weights.detach().flatten().numpy()
    whitening = np.tril(energy.whitening.detach().flatten(0, -3).numpy())
    means = energy.means.detach().flatten(0, -2).numpy()
    return [
        (weight - logsumexp(weights), mean, np.linalg.inv(r.T @ r))
        for weight, mean, r in zip(weights, means, whitening, strict=True)
    ]


@pytest.fixture
def energy() -> GaussianMixture:
    return mixture(4, y=Categorical(2), z=Categorical(3))


def test_it_is_minus_the_log_density(energy):
    x = torch.randn(6, 4).double()
    wanted = [[-w - multivariate_normal(m, c).logpdf(row) for w, m, c in densities(energy)] for row in x.numpy()]
    table = energy.table("y", "z", x=x)
    np.testing.assert_allclose(table.detach().reshape(6, 6), wanted, rtol=1e-9)
    y, z = torch.tensor([0, 1, 1, 0, 1, 0]), torch.tensor([2, 0, 1, 1, 2, 0])
    torch.testing.assert_close(energy(x=x, y=y, z=z), table[torch.arange(6), y, z])


def test_it_integrates_to_one():
    energy = mixture(2, z=Categorical(3))
    line = torch.linspace(-16, 16, 801, dtype=torch.double)
    x = torch.cartesian_prod(line, line)
    mass = energy.marginalize("z")(x=x).neg().exp().sum() * (line[1] - line[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-6)


def test_two_variables_eliminate_in_either_order(energy):
    x = torch.randn(5, 4).double()
    one, other = energy.marginalize("y").marginalize("z"), energy.marginalize("z").marginalize("y")
    torch.testing.assert_close(one(x=x), other(x=x))


def by_hand(energy: GaussianMixture, x: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """−log p(known part, component) and the mean of the rest, by the textbook formula on covariances."""
    costs, means = [], []
    for weight, mean, covariance in densities(energy):
        inside, across = covariance[np.ix_(known, known)], covariance[np.ix_(~known, known)]
        costs.append(-weight - (multivariate_normal(mean[known], inside).logpdf(x[known]) if known.any() else 0))
        whole = x.copy()
        whole[~known] = mean[~known] + across @ np.linalg.solve(inside, x[known] - mean[known])
        means.append(whole)
    return np.array(costs), np.array(means)


def test_conditioning_is_exact_for_every_mask(energy):
    x = torch.randn(16, 4).double()
    known = torch.cartesian_prod(*[torch.tensor([False, True])] * 4)
    costs, means = energy.given(x=Partial(x, known)).solve()
    assert costs.shape == (16, 2, 3) and means.shape == (16, 2, 3, 4)
    for row in range(16):
        wanted_costs, wanted_means = by_hand(energy, x[row].numpy(), known[row].numpy())
        np.testing.assert_allclose(costs[row].detach().flatten(), wanted_costs, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(means[row].detach().reshape(6, 4), wanted_means, rtol=1e-8, atol=1e-8)


def test_what_is_unknown_is_never_read(energy):
    known = torch.tensor([True, True, False, False])
    x = torch.randn(3, 4).double()
    spoilt = torch.where(known, x, torch.nan)
    for one, other in zip(
        energy.given(x=Partial(x, known)).solve(), energy.given(x=Partial(spoilt, known)).solve(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_the_free_energy_over_the_unknown_part_is_its_integral(beta):
    energy = mixture(2, z=Categorical(3))
    x, known = torch.tensor([[0.3, 0.0]], dtype=torch.double), torch.tensor([True, False])
    line = torch.linspace(-30, 30, 6001, dtype=torch.double)
    grid = torch.stack([torch.full_like(line, 0.3), line], -1)
    step = line[1] - line[0]
    wanted = -((-beta * energy.table("z", x=grid)).logsumexp(0) + step.log()) / beta
    left = energy.given(x=Partial(x, known)).marginalize("x", beta)
    assert isinstance(left, Tabulated)
    torch.testing.assert_close(left.table("z")[0], wanted, rtol=1e-6, atol=1e-6)


def test_a_known_label_narrows_the_choice(energy):
    x, known = torch.randn(5, 4).double(), torch.tensor([True, False, True, False])
    left = energy.given(x=Partial(x, known)).marginalize("x")
    y = torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(left.given(y=y).table("z"), left.table("y", "z")[torch.arange(5), y])


def test_draws_have_the_conditional_mean_and_covariance(energy):
    x, known = torch.randn(2, 4).double(), torch.tensor([[True, False, True, False], [False, False, True, True]])
    part = energy.given(x=Partial(x, known))
    y, z = torch.tensor([1, 0]), torch.tensor([2, 1])
    count = 40_000
    drawn = part.draw(y=y.expand(count, 2), z=z.expand(count, 2), generator=torch.Generator().manual_seed(0)).detach()
    assert drawn.shape == (count, 2, 4)
    for row, component in enumerate((5, 1)):
        mask = known[row].numpy()
        covariance = densities(energy)[component][2]
        across = covariance[np.ix_(~mask, mask)]
        wanted = covariance[np.ix_(~mask, ~mask)] - across @ np.linalg.solve(covariance[np.ix_(mask, mask)], across.T)
        sample = drawn[:, row].numpy()
        assert (sample[:, mask] == x[row, mask].numpy()).all()
        close = 5 * np.sqrt(np.diag(wanted).max() / count)
        mean = by_hand(energy, x[row].numpy(), mask)[1][component]
        np.testing.assert_allclose(sample.mean(0), mean, atol=close)
        np.testing.assert_allclose(np.cov(sample[:, ~mask].T), wanted, atol=8 * np.abs(wanted).max() / np.sqrt(count))


def test_few_directions_are_the_widest(energy):
    part = energy.given(x=Partial(torch.zeros(1, 4).double(), torch.zeros(4, dtype=torch.bool)))
    drawn = part.draw(1, y=torch.zeros(500, 1, dtype=torch.int64), z=torch.zeros(500, 1, dtype=torch.int64)).detach()
    _, vectors = np.linalg.eigh(densities(energy)[0][2])
    spread = np.linalg.svd(drawn[:, 0].numpy() - densities(energy)[0][1], full_matrices=False)
    assert spread[1][1] < 1e-8 * spread[1][0]
    assert abs(spread[2][0] @ vectors[:, -1]) == pytest.approx(1)


def test_any_solver_completes_a_single_gaussian_to_its_conditional_mean():
    energy = mixture(4, z=Categorical(1))
    x, known = torch.randn(3, 4).double(), torch.tensor([True, True, False, False])
    found = infer(energy.marginalize("z"), "x", x=Partial(x, known)).value
    torch.testing.assert_close(found, energy.given(x=Partial(x, known)).solve()[1][:, 0].detach(), rtol=1e-4, atol=1e-4)


def test_a_search_for_the_unknown_part_begins_in_the_right_valley():
    energy = GaussianMixture(Real(2), z=Categorical(2)).double()
    with torch.no_grad():
        energy.means.copy_(torch.tensor([[0.0, 0.0], [1.0, 40.0]]))
    x, known = torch.tensor([[0.1, 0.0], [0.9, 0.0]], dtype=torch.double), torch.tensor([True, False])
    part = energy.marginalize("z").given(x=Partial(x, known))
    torch.testing.assert_close(part.guess("x"), torch.tensor([[0.1, 0.0], [0.9, 40.0]], dtype=torch.double))
    found = infer(energy.marginalize("z"), "x", x=Partial(x, known)).value
    torch.testing.assert_close(found, part.guess("x"), atol=1e-3, rtol=0)


def test_minimising_x_out_leaves_the_height_of_each_component(energy):
    y, z = torch.tensor([0, 1]), torch.tensor([2, 0])
    lowest = energy.minimize("x")
    torch.testing.assert_close(lowest(y=y, z=z), energy(x=energy.means[y, z], y=y, z=z))
    torch.testing.assert_close(lowest.answer(y=y, z=z), energy.means[y, z])


def test_the_slope_in_every_parameter_agrees_with_finite_differences(energy):
    x, known = torch.randn(3, 4).double(), torch.tensor([True, False, True, False])
    parameters = tuple(parameter.detach().requires_grad_() for parameter in energy.parameters())
    names = [name for name, _ in energy.named_parameters()]

    def free_energy(*values: torch.Tensor) -> torch.Tensor:
        called = torch.func.functional_call(energy, dict(zip(names, values, strict=True)), (), {"x": x, **CHOICE})
        return called.sum()

    assert torch.autograd.gradcheck(free_energy, parameters)
    table = energy.given(x=Partial(x, known)).marginalize("x").table("y", "z")
    slopes = torch.autograd.grad(table.sum(), tuple(energy.parameters()))
    assert all(slope.isfinite().all() and slope.abs().sum() > 0 for slope in slopes[:2])


CHOICE = {"y": torch.tensor([0, 1, 1]), "z": torch.tensor([2, 0, 1])}


def test_mistakes_are_told(energy):
    with pytest.raises(SpaceError, match=r"wanted variables that choose a component"):
        GaussianMixture(Real(3))
    with pytest.raises(SpaceError, match=r"x: wanted a mask that broadcasts to \(3, 4\), got \(2,\)"):
        energy.given(x=Partial(torch.zeros(3, 4).double(), torch.tensor([True, False])))
