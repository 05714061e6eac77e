"""What compiling an energy's slope changes in its graph: the library that makes the products, and nothing that is computed."""

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from lowland.energy import Function, Network
from lowland.inference import CEM, GradientDescent, Langevin, solve
from lowland.inference.compiled import _to_onednn
from lowland.spaces import Real


def products(dtype: torch.dtype) -> tuple[torch.fx.GraphModule, tuple[torch.Tensor, ...]]:
    inputs = (torch.randn(5, dtype=dtype), torch.randn(2000, 500, dtype=dtype), torch.randn(500, 5, dtype=dtype))
    graph = make_fx(
        lambda b, x, w: (torch.addmm(b, x, w), x @ w, torch.addmm(x @ w, x, w, beta=0.5)), tracing_mode="fake"
    )(*inputs)
    return graph, inputs


def test_products_of_floats_change_hands_and_stay_what_they_were():
    module, inputs = products(torch.float32)
    wanted = module(*inputs)
    _to_onednn(module.graph)
    module.recompile()
    targets = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
    assert targets.count("lowland.linear.default") == 3 and targets.count("aten.addmm.default") == 1
    for got, one in zip(module(*inputs), wanted, strict=True):
        torch.testing.assert_close(got, one, atol=1e-4, rtol=1e-4)


def test_products_of_doubles_stay():
    module, _ = products(torch.float64)
    _to_onednn(module.graph)
    assert "lowland" not in str(module.graph)


@pytest.mark.parametrize("rows", [1, 6])
def test_a_compiled_network_samples_what_the_plain_one_does(rows):
    energy = Network(nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 1)), x=Real(2))
    start = torch.randn(rows, 2)
    plain, compiled = (
        solve(Langevin(0.1), energy, start, steps=5, generator=torch.Generator().manual_seed(0), compile=compile)
        for compile in (False, True)
    )
    torch.testing.assert_close(plain.value, compiled.value)


def test_small_products_stay():
    x, w = torch.randn(300, 6), torch.randn(6, 64)
    module = make_fx(lambda x, w: x @ w, tracing_mode="fake")(x, w)
    _to_onednn(module.graph)
    assert "lowland" not in str(module.graph)


@pytest.mark.parametrize("solver", [CEM(20, 5), GradientDescent(0.1)])
def test_an_energy_is_compiled_once_whatever_it_is_given(solver):
    """Searches from several states share one compiled energy, and find what plain ones do."""
    energy = Function(lambda s, a: (a - s).square().sum(-1), s=Real(2), a=Real(2))
    kept = []
    for turn in range(3):
        s = torch.randn(4, 2)
        plain, compiled = (
            solve(
                solver,
                energy.given(s=s),
                torch.zeros(4, 2),
                steps=3,
                compile=compile,
                generator=torch.Generator().manual_seed(turn),
            )
            for compile in (False, True)
        )
        torch.testing.assert_close(plain.value, compiled.value)
        kept.append(list(energy.__dict__["_compiled"].values()))
    assert kept[0] == kept[1] == kept[2] and len(kept[0]) == 1
