"""The audit tells a sound landscape from a flat, an upside-down and an exploding one."""

import math

import pytest
import torch

from lowland.energy import Function, NetworkTable
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.objectives import audit, auroc, low_volume
from lowland.spaces import Binary, Box, Opaque, Real


def gaussian(x):
    return 0.5 * x.square().sum(-1) / 0.01


def ring(count=400):
    angle = 2 * math.pi * torch.rand(count)
    return torch.stack([angle.cos(), angle.sin()], 1) + 0.02 * torch.randn(count, 2)


@pytest.mark.parametrize(
    ("landscape", "verdict"),
    [
        (lambda x: 50 * (x.norm(dim=-1) - 1).square(), "sound"),
        (lambda x: 0 * x.sum(-1), "collapsed"),
        (lambda x: -50 * (x.norm(dim=-1) - 1).square(), "upside down"),
        (lambda x: torch.where(x.norm(dim=-1) > 1.5, torch.inf, 0.0), "exploding"),
        (lambda x: 5 * x.norm(dim=-1), "constants"),
        (lambda x: 3 * (x.norm(dim=-1) - 1.9).clamp_min(0), "loose"),
    ],
)
def test_the_verdict(landscape, verdict):
    found = audit(Function(landscape, x=Real(2)), {"x": ring()}, generator=torch.Generator().manual_seed(0))
    assert found.verdict.startswith(verdict)
    assert verdict in repr(found)


def test_the_figures_of_a_known_landscape():
    x = 0.1 * torch.randn(4000, 2)
    found = audit(Function(gaussian, x=Real(2)), {"x": x}, noise=1.0, count=20_000)
    assert found.data == pytest.approx(1.0, rel=0.05)
    assert found.perturbed == pytest.approx(2.0, rel=0.05)
    assert found.constants == pytest.approx(0.0, abs=0.2)
    assert found.gap == pytest.approx(found.far - found.data)
    side = (x.amax(0) - x.amin(0)).prod().item() * 4
    assert found.volume == pytest.approx(math.pi * 0.01 * 2 * math.log(20) / side, rel=0.1)
    # Σw = N·2πσ²/side and Σw² = N·πσ²/side
    assert found.flatness == pytest.approx(4 * math.pi * 0.01 / side, rel=0.1)
    assert low_volume(Function(gaussian, x=Real(2)), x) == pytest.approx(found.volume, rel=0.1)


def test_bits_boxes_labels_and_what_is_given():
    bits = Function(lambda x: -x.sum(-1), x=Binary(6))
    found = audit(bits, {"x": torch.ones(50, 6)})
    assert found.data == found.constants == -6.0 and found.auroc_far > 0.9
    box = Function(lambda x: x.sum(-1), x=Box(0, 1, 2))
    assert audit(box, {"x": 0.1 * torch.rand(50, 2)}).far == pytest.approx(1.0, abs=0.05)
    x = torch.randn(60, 5)
    table = NetworkTable.example()
    y = table.table("y", x=x).argmin(-1)
    assert audit(table, {"x": x, "y": y}, "y").auroc_far > 0.6
    assert audit(table, {"x": x, "y": y}).finite


def test_bad_input_is_refused():
    with pytest.raises(VariableError, match="but not x"):
        audit(Function(gaussian, x=Real(2)), {"y": ring()})
    with pytest.raises(SpaceError, match="at least one sample"):
        audit(Function(gaussian, x=Real(2)), {"x": torch.zeros(0, 2)})
    with pytest.raises(StructureError, match="no point can be drawn"):
        audit(Function(lambda x: torch.zeros(len(x)), x=Opaque()), {"x": torch.zeros(3)})


def test_auroc_counts_pairs():
    low, high = torch.randn(30).round(decimals=1), (torch.randn(40) + 0.5).round(decimals=1)
    pairs = (low[:, None] < high).double() + 0.5 * (low[:, None] == high)
    assert auroc(low, high) == pytest.approx(pairs.mean().item())
    assert auroc(torch.zeros(5), torch.zeros(3)) == 0.5
    assert auroc(torch.zeros(5), torch.ones(3)) == 1.0
    with pytest.raises(SpaceError, match="both kinds"):
        auroc(torch.zeros(0), torch.ones(3))
    with pytest.raises(SpaceError, match="nan"):
        auroc(torch.tensor([torch.nan]), torch.ones(3))
