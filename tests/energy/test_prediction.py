"""A code near an encoder's guess: the bowl around it, the search that begins there, and the gradient that teaches the encoder."""

import torch
from torch import nn

from lowland.energy import L1, LinearReconstruction, Prediction
from lowland.inference import ADMM, FISTA, Amortised, infer
from lowland.objectives import EnergyLoss
from lowland.spaces import Real

DIM, ATOMS = 6, 9


def predictive() -> tuple:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(DIM, ATOMS), nn.Tanh())
    energy = LinearReconstruction(DIM, ATOMS) + L1(Real(ATOMS), 0.2) + 0.5 * Prediction(encoder, Real(DIM), Real(ATOMS))
    return energy, encoder, torch.randn(4, DIM)


def test_the_encoder_is_asked_once():
    _, encoder, y = predictive()
    calls = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    prediction = Prediction(encoder, Real(DIM), Real(ATOMS)).given(y=y)
    for _ in range(3):
        prediction(z=torch.zeros(4, ATOMS))
    assert calls == [1]
    assert (prediction.value_and_gradient(encoder(y))[1] == 0).all()


def test_two_solvers_find_the_same_code():
    energy, _, y = predictive()
    codes = [infer(energy, "z", y=y, solver=solver, options={"tol": 1e-6}).value for solver in (ADMM(), FISTA())]
    torch.testing.assert_close(*codes, atol=1e-4, rtol=1e-4)


def test_a_search_cut_short_begins_at_the_guess():
    energy, encoder, y = predictive()
    guessing = energy.minimize("z", Amortised(lambda y: encoder(y), ADMM()), steps=0)
    torch.testing.assert_close(guessing.answer(y=y), encoder(y))


def test_the_energy_at_the_code_teaches_decoder_and_encoder():
    energy, encoder, y = predictive()
    least = energy.minimize("z", Amortised(lambda y: encoder(y), ADMM()), steps=200, tol=1e-6)
    z = least.answer(y=y)
    EnergyLoss()(least, {"y": y}).value.backward()
    taught = [parameter.grad.clone() for parameter in energy.parameters()]
    for parameter in energy.parameters():
        parameter.grad = None
    energy(y=y, z=z).mean().backward()  # the code held fixed, as at a minimum it may be
    for parameter, grad in zip(energy.parameters(), taught, strict=True):
        assert grad.abs().max() > 0
        torch.testing.assert_close(grad, parameter.grad)
