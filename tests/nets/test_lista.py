"""The encoders begin as the search they cut short, and training brings them nearer the optimal code."""

import pytest
import torch
from torch import Tensor

from lowland.energy import L1, LinearReconstruction
from lowland.inference import ISTA, GreedyCoordinateDescent, amortise, solve
from lowland.inference.admm import ADMM
from lowland.nets import LISTA, LCoD
from lowland.spaces import Real

DIM, ATOMS, WEIGHT = 10, 16, 0.3


def problem(samples: int) -> tuple[LinearReconstruction, Tensor]:
    reconstruction = LinearReconstruction(DIM, ATOMS)
    reconstruction.normalize()
    return reconstruction, torch.randn(samples, DIM)


@pytest.mark.parametrize("layers", [0, 1, 3, 7])
def test_lista_begins_as_ista(layers):
    reconstruction, y = problem(8)
    encoder = LISTA(DIM, ATOMS, layers)
    encoder.follow(reconstruction.W.detach(), WEIGHT)
    energy = (reconstruction + L1(Real(ATOMS), WEIGHT)).given(y=y)
    with torch.no_grad():
        wanted = solve(ISTA(), energy, steps=layers + 1, tol=0.0).value
    torch.testing.assert_close(encoder(y), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 5])
def test_lcod_begins_as_greedy_coordinate_descent(layers):
    reconstruction, y = problem(8)
    encoder = LCoD(DIM, ATOMS, layers)
    encoder.follow(reconstruction.W.detach(), WEIGHT)
    energy = (reconstruction + L1(Real(ATOMS), WEIGHT)).given(y=y)
    with torch.no_grad():
        z = solve(GreedyCoordinateDescent(), energy, steps=layers, tol=0.0).value
        wanted = torch.nn.functional.softshrink(
            y @ reconstruction.W - z @ reconstruction.W.T @ reconstruction.W + z, WEIGHT
        )
    torch.testing.assert_close(encoder(y), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", [LISTA(DIM, ATOMS, 2), LCoD(DIM, ATOMS, 6)], ids=lambda net: type(net).__name__)
def test_training_brings_the_guess_nearer(encoder):
    reconstruction, y = problem(256)
    energy = reconstruction + L1(Real(ATOMS), WEIGHT)
    encoder.follow(reconstruction.W.detach(), WEIGHT)
    with torch.no_grad():
        best = solve(ADMM(), energy.given(y=y)).value
        before = (encoder(y) - best).square().sum(1).mean()
    amortise(energy, "z", ADMM(), encoder, [{"y": torch.randn(64, DIM)} for _ in range(60)], {"y": y}, rate=3e-3)
    assert (encoder(y) - best).square().sum(1).mean() < 0.8 * before
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_a_threshold_never_turns_into_a_boost():
    encoder = LISTA(DIM, ATOMS, 0)
    with torch.no_grad():
        encoder.threshold.fill_(-1.0)
    value = torch.randn(4, ATOMS)
    torch.testing.assert_close(encoder.shrink(value), value)


@pytest.mark.parametrize("kind", [LISTA, LCoD])
def test_any_batch_shape(kind):
    encoder = kind(DIM, ATOMS, 3)
    encoder.follow(problem(1)[0].W.detach(), WEIGHT)
    y = torch.randn(2, 3, DIM)
    torch.testing.assert_close(encoder(y), encoder(y.reshape(6, DIM)).reshape(2, 3, ATOMS))
    assert encoder(y[0, 0]).shape == (ATOMS,)
