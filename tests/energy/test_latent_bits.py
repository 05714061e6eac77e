"""Bits of a hidden vector: a normalised energy, its belief, and what is left of it when much is known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from lowland import Partial, infer
from lowland.energy import GaussianBelief, LatentBits
from lowland.errors import SpaceError
from lowland.spaces import Binary


@pytest.fixture
def energy() -> LatentBits:
    torch.manual_seed(0)
    energy = LatentBits.example()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(3)
    return energy


def grid(latent: int, count: int = 161, far: float = 8.0) -> tuple[torch.Tensor, float]:
    """Points of a fine lattice, and the volume that each stands for."""
    line = torch.linspace(-far, far, count)
    return torch.cartesian_prod(*[line] * latent), (2 * far / (count - 1)) ** latent


def test_all_pictures_and_all_codes_have_probability_one(energy):
    x, (z, volume) = energy.spaces["x"].enumerate(), grid(2)
    with torch.no_grad():
        energies = energy(x=x[:, None], z=z)
    assert energies.shape == (16, len(z))
    assert (-energies).exp().sum().item() * volume == pytest.approx(1, abs=1e-4)


def test_the_energy_is_what_distributions_say(energy):
    x, z = energy.spaces["x"].enumerate()[:5], torch.randn(5, 2)
    wanted = -Bernoulli(logits=energy.odds(z)).log_prob(x).sum((1, 2)) - Normal(0, 1).log_prob(z).sum(1)
    torch.testing.assert_close(energy(x=x, z=z), wanted)
    torch.testing.assert_close(energy.prior(z), -Normal(0, 1).log_prob(z).sum(1))
    torch.testing.assert_close(energy.mean(z), energy.odds(z).sigmoid())


def test_with_the_code_known_the_bits_go_their_own_ways(energy):
    z = torch.randn(3, 2)
    bits = energy.given(z=z)
    assert type(bits).__name__ == "IndependentBits"
    torch.testing.assert_close(infer(bits, "x").value, (energy.mean(z) > 0.5).float())
    torch.testing.assert_close(bits.log_partition(), -energy.prior(z))


def test_what_nobody_sees_is_summed_out(energy):
    x = torch.tensor([[[1.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]])
    known = torch.tensor([[True, True], [False, True]])
    seen = energy.seen(Partial(x.masked_fill(~known, torch.nan), known))
    z = torch.randn(2, 2)
    both = torch.stack([energy(x=torch.where(known, x, torch.full_like(x, bit)), z=z) for bit in (0.0, 1.0)])
    torch.testing.assert_close(seen(z=z), -(-both).logsumexp(0))
    torch.testing.assert_close(seen.select(torch.tensor([1]))(z=z[1:]), seen(z=z)[1:])


def test_an_encoder_that_says_nothing_believes_the_prior():
    encoder = nn.Linear(4, 4)
    nn.init.zeros_(encoder.weight)
    nn.init.zeros_(encoder.bias)
    energy = LatentBits(nn.Linear(2, 4), encoder, Binary(4), 2)
    belief = energy.belief(torch.ones(3, 4))
    torch.testing.assert_close(belief.divergence(), torch.zeros(3), atol=1e-6, rtol=0)


def test_a_belief_is_a_normal_distribution():
    torch.manual_seed(1)
    belief = GaussianBelief(torch.randn(2, 3), torch.rand(2, 3) + 0.2)
    normal = Normal(belief.mean, belief.spread)
    z = belief.draw(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(0), belief.mean, atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), belief.spread, atol=0.03, rtol=0)
    torch.testing.assert_close(belief.log_density(z[:4]), normal.log_prob(z[:4]).sum(-1))
    torch.testing.assert_close(belief.divergence(), kl_divergence(normal, Normal(0.0, 1.0)).sum(-1))
    torch.testing.assert_close(belief.select(torch.tensor([1])).mean, belief.mean[1:])
    assert not GaussianBelief(belief.mean.requires_grad_(), belief.spread).detach().mean.requires_grad
    assert math.isfinite(belief.log_density(torch.full((2, 3), 50.0)).sum().item())


def test_an_empty_hidden_vector_is_refused():
    with pytest.raises(SpaceError, match="at least 1 number, got 0"):
        LatentBits(nn.Identity(), nn.Identity(), Binary(4), 0)
