"""Units keep small answers at 0, encoders begin where they should, and the convolutional ones fit their decoder."""

import torch

from lowland.energy import L1, ConvolutionalReconstruction, LinearReconstruction
from lowland.inference import FISTA, ISTA, solve
from lowland.nets import ConvolutionalLISTA, ConvolutionalSparseEncoder, GainTanh, SmoothShrinkage, SparseEncoder


def test_smooth_shrinkage_is_a_soft_threshold_with_a_round_knee():
    unit = SmoothShrinkage(3, threshold=0.5, sharpness=200.0)
    s = torch.tensor([[-2.0, -0.3, 0.0], [0.3, 0.7, 5.0]])
    torch.testing.assert_close(unit(s), torch.nn.functional.softshrink(s, 0.5), atol=1e-3, rtol=0)
    round_knee = SmoothShrinkage(1, threshold=0.5, sharpness=4.0)
    s = torch.linspace(-3, 3, 41)[:, None].requires_grad_()
    z = round_knee(s)
    torch.testing.assert_close(z, -z.flip(0))  # odd, and so 0 at 0
    (slope,) = torch.autograd.grad(z.sum(), s)
    assert (slope > 0).all() and (slope <= 1.001).all()


def test_smooth_shrinkage_is_the_formula_of_the_paper():
    s, b, beta = torch.linspace(-2, 2, 9).double(), 0.3, 3.0
    wanted = s.sign() * (((beta * torch.tensor(b)).exp() + (beta * s.abs()).exp() - 1).log() / beta - b)
    torch.testing.assert_close(SmoothShrinkage(1, threshold=b, sharpness=beta).double()(s), wanted, atol=1e-6, rtol=0)


def test_the_gain_bounds_the_answers():
    unit = GainTanh(2, gain=3.0)
    z = unit(torch.tensor([[-100.0, 0.01]]))
    torch.testing.assert_close(z, torch.tensor([[-3.0, 0.01]]), atol=1e-5, rtol=0)


def test_an_encoder_begins_as_one_step_of_ista():
    decoder, weight = LinearReconstruction(6, 9), 0.2
    decoder.normalize()
    encoder = SparseEncoder(6, 9, SmoothShrinkage(9, threshold=0.5 * weight, sharpness=1000.0))
    encoder.follow(decoder.W.detach(), 0.5)
    y = torch.randn(4, 6)
    energy = decoder + L1(decoder.spaces["z"], weight)
    wanted = solve(ISTA(rate=0.5), energy.given(y=y), torch.zeros(4, 9), steps=1).value
    torch.testing.assert_close(encoder(y), wanted, atol=2e-3, rtol=0)


def convolutional(weight: float = 0.3) -> tuple[ConvolutionalReconstruction, torch.Tensor, L1]:
    decoder = ConvolutionalReconstruction(channels=2, maps=4, height=7, width=6, kernel=3)
    return decoder, torch.randn(3, 2, 7, 6), L1(decoder.spaces["z"], weight)


def test_convolutional_lista_begins_as_ista():
    decoder, y, sparsity = convolutional()
    curvature = decoder.curvature()
    encoder = ConvolutionalLISTA(2, 4, 3, layers=4)
    encoder.follow(decoder.W.detach(), sparsity.weight, curvature)
    energy = (decoder + sparsity).given(y=y)
    wanted = solve(ISTA(rate=1 / curvature), energy, torch.zeros_like(encoder(y)), steps=5, tol=0.0).value
    torch.testing.assert_close(encoder(y), wanted, atol=1e-5, rtol=1e-5)


def test_one_look_is_in_the_place_of_the_code():
    decoder, y, _ = convolutional()
    encoder = ConvolutionalSparseEncoder(2, 4, 3, torch.nn.Identity())
    encoder.follow(decoder.W.detach(), curvature=2.0)
    _, slope = decoder.given(y=y).value_and_gradient(torch.zeros_like(encoder(y)))
    torch.testing.assert_close(encoder(y), -slope / 2)


def test_the_curvature_bounds_the_slope():
    decoder, y, sparsity = convolutional()
    energy = (decoder + sparsity).given(y=y)
    found = solve(FISTA(rate=1 / decoder.curvature()), energy, steps=3000, tol=1e-4)
    assert found.converged.all()
    exact = solve(FISTA(), energy, steps=3000, tol=1e-4)
    torch.testing.assert_close(found.energy, exact.energy, atol=1e-4, rtol=1e-4)
