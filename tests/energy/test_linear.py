"""The fast product is the usual one, and steps aside where it can't be used."""

import sys

import pytest
import torch
import torch.nn.functional as F
from torch.fx.experimental.proxy_tensor import make_fx

from lowland.energy import linear


@pytest.fixture(autouse=True)
def none_too_small(monkeypatch):
    """Products this small would step aside."""
    monkeypatch.setattr(sys.modules["lowland.energy.linear"], "SMALL", 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_usual_product(dtype, biased):
    x, weight = torch.randn(37, 19, dtype=dtype), torch.randn(19, 11, dtype=dtype).T
    bias = torch.randn(11, dtype=dtype) if biased else None
    torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias))


@pytest.mark.parametrize("transposed", [True, False])
def test_its_gradients_are_the_usual_ones_twice(transposed):
    x, bias = torch.randn(5, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    weight = torch.randn(4, 3, requires_grad=True) if transposed else torch.randn(3, 4, requires_grad=True)
    found = []
    for product in (linear, F.linear):
        inputs = (x, weight, bias)
        energy = product(x, weight.T if transposed else weight, bias).tanh().sum()
        slopes = torch.autograd.grad(energy, inputs, create_graph=True)
        assert slopes[1].stride() == weight.stride()
        curved = torch.autograd.grad(sum(slope.square().sum() for slope in slopes), inputs)
        found.append((*slopes, *curved))
    for ours, usual in zip(*found, strict=True):
        torch.testing.assert_close(ours, usual)


def test_gradients_flow():
    x, weight, bias = torch.randn(5, 4), torch.randn(3, 4, requires_grad=True), torch.randn(3)
    linear(x, weight, bias).sum().backward()
    torch.testing.assert_close(weight.grad, x.sum(0).expand(3, 4))
    with torch.no_grad():
        assert not linear(x, weight, bias).requires_grad


@torch.no_grad()
def test_tracers_and_transforms_meet_the_usual_operation():
    x, weight = torch.randn(5, 4), torch.randn(3, 4)
    graph = make_fx(lambda x: linear(x, weight))(x).graph
    assert not any("mkldnn" in str(node.target) for node in graph.nodes)
    many = torch.randn(2, 5, 4)
    torch.testing.assert_close(torch.func.vmap(lambda x: linear(x, weight))(many), many @ weight.T)
