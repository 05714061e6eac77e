"""How to differentiate a solution: by unrolling, implicitly, or not at all."""

import pytest
import torch

from lowland.energy import L1, LinearReconstruction, Network, Scaled
from lowland.inference import FISTA, LBFGS, Amortised, GradientDescent, amortise, minimiser, solve
from lowland.spaces import NonNegative, Real


def codes(W, weight, mode, space=None):
    space = space or Real(6)
    reconstruction = LinearReconstruction(5, 6, space).double()
    del reconstruction.W
    reconstruction.W = W
    y = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    energy = reconstruction + Scaled(L1(space), weight)
    return minimiser(energy.given(y=y), FISTA(), mode, {"steps": 3000, "tol": 1e-12})


@pytest.mark.parametrize("space", [Real(6), NonNegative(6)], ids=["real", "non-negative"])
def test_implicit_unrolled_and_finite_differences_agree_through_a_kink(space):
    W = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    slopes = {}
    for mode in ("implicit", "unroll"):
        slopes[mode] = torch.autograd.grad(codes(W, weight, mode, space).square().sum(), [W, weight])
    for one, other in zip(*slopes.values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-6)
    small = 1e-5
    with torch.no_grad():
        rise = (
            codes(W, weight + small, "envelope", space).square().sum()
            - codes(W, weight - small, "envelope", space).square().sum()
        )
    torch.testing.assert_close(slopes["implicit"][1], rise / (2 * small), atol=1e-5, rtol=1e-4)


def test_the_envelope_holds_the_minimiser_fixed():
    W = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    assert not codes(W, torch.tensor(0.2, dtype=torch.float64), "envelope").requires_grad


def test_an_encoder_learns_the_solver_and_is_measured_against_it():
    torch.manual_seed(0)
    energy = LinearReconstruction(6, 4) + 0.1 * L1(Real(4))
    energy.requires_grad_(False)
    encoder = torch.nn.Sequential(torch.nn.Linear(6, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))

    class ByName(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, y):
            return self.encoder(y)

    batches = ({"y": torch.randn(128, 6)} for _ in range(120))
    held_out = {"y": torch.randn(200, 6)}
    result = amortise(energy, "z", FISTA(), ByName(), batches, held_out, rate=1e-2, tol=1e-3, steps=200)
    assert sum(result.losses[-20:]) < 0.3 * sum(result.losses[:20])
    assert 0 <= result.gap < 0.2 and result.speedup > 1
    conditioned = energy.given(**held_out)
    refined = Amortised(result.solver.encoder, FISTA())
    guess = refined.start(conditioned, held_out)
    warm = solve(refined, conditioned, guess, steps=8, tol=0.0).energy.mean()
    cold = solve(FISTA(), conditioned, steps=8, tol=0.0).energy.mean()
    assert warm < cold


def test_unrolled_steps_learn_a_better_start_rate():
    network = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    energy = Network(network, x=Real(2))
    found = solve(GradientDescent(0.1), energy, torch.zeros(3, 2), steps=5, unroll=True)
    slopes = torch.autograd.grad(found.value.sum(), list(network.parameters()), allow_unused=True)
    assert slopes[0] is not None and slopes[0].abs().sum() > 0
    assert not solve(LBFGS(), energy, torch.zeros(3, 2), steps=5).value.requires_grad
