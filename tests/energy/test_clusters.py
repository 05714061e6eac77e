"""One energy, two learners: k-means by minimising z out, the Gaussian mixture by marginalising it."""

import math

import pytest
import torch

from lowland import infer, posterior
from lowland.energy import Clusters, clusters
from lowland.errors import SpaceError
from lowland.spaces import Real


@pytest.fixture
def energy() -> Clusters:
    return Clusters(Real(2, 3), 5)


def test_the_table_is_the_energy_of_every_centre(energy):
    y, z = torch.randn(4, 7, 2, 3), torch.arange(5)
    wanted = energy(y=y.unsqueeze(2), z=z)
    torch.testing.assert_close(energy.table("z", y=y), wanted)
    torch.testing.assert_close(energy.given(y=y).table("z"), wanted)


def test_minimising_is_k_means_and_marginalising_the_mixture(energy):
    y = torch.randn(50, 2, 3)
    distance = 0.5 * torch.cdist(y.flatten(1), energy.W).square()
    torch.testing.assert_close(energy.minimize("z")(y=y), distance.amin(1))
    beta = 3.0
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(5)),
        torch.distributions.Independent(torch.distributions.Normal(energy.W, beta**-0.5), 1),
    )
    shared = math.log(5) + 3 * math.log(2 * math.pi / beta)  # log of ∫ exp(−β F_β), the same for every W
    free = energy.marginalize("z", beta)(y=y)
    torch.testing.assert_close(-beta * free - shared, mixture.log_prob(y.flatten(1)))


def test_a_cold_mixture_answers_as_k_means_does(energy):
    y = torch.randn(200, 2, 3)
    answer = infer(energy, "z", y=y).value
    assert (posterior(energy, "z", 0.3, y=y).argmax(-1) == answer).all()
    one_hot = torch.nn.functional.one_hot(answer, 5).float()
    off = [(posterior(energy, "z", beta, y=y) - one_hot).abs().mean() for beta in (0.3, 3.0, 1e5)]
    assert off[0] > off[1] > off[2] and off[2] < 1e-3
    torch.testing.assert_close(energy.marginalize("z", 1e5)(y=y), energy.minimize("z")(y=y), atol=1e-4, rtol=1e-4)


def test_nearest_is_what_infer_answers_whatever_the_guess(energy, monkeypatch):
    monkeypatch.setattr(clusters, "ROWS", 16)
    y = torch.randn(50, 2, 3)
    answer = infer(energy, "z", y=y).value
    guess = torch.randint(5, (50,))
    before = guess.clone()
    assert (energy.nearest(y.flatten(1)) == answer).all()
    assert (energy.nearest(y.flatten(1), guess) == answer).all()
    assert (guess == before).all()


def test_centres_are_told_apart_in_the_features():
    y = torch.randn(20, 3)
    energy = Clusters(Real(3), 4, torch.nn.Linear(3, 2), dim=2)
    torch.testing.assert_close(
        energy.table("z", y=y), 0.5 * torch.cdist(energy.features(y), energy.W).square(), atol=1e-5, rtol=1e-4
    )


def test_gradients_move_the_nearest_centre_only(energy):
    y = torch.randn(1, 2, 3)
    energy.minimize("z")(y=y).sum().backward()
    nearest = infer(energy, "z", y=y).value.item()
    torch.testing.assert_close(energy.W.grad[nearest], energy.W[nearest].detach() - y.flatten())
    assert energy.W.grad.count_nonzero(1).bool().sum() == 1


def test_no_centre_is_refused():
    with pytest.raises(SpaceError, match="at least 1 centre, got 0"):
        Clusters(Real(2), 0)
