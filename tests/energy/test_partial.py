"""A value that is known only in places."""

import pytest
import torch

from lowland import infer
from lowland.energy import Function, Partial, Quadratic
from lowland.errors import SpaceError
from lowland.inference import GradientDescent
from lowland.spaces import Box, Real


def coupled():
    """Neighbours want to be equal."""
    return Function(lambda x: (x[:, 1:] - x[:, :-1]).square().sum(1) + 0.01 * x.square().sum(1), x=Real(5))


def test_solvers_fill_in_the_rest_and_leave_what_is_known():
    value = torch.tensor([[1.0, 99.0, 99.0, 99.0, 3.0], [2.0, 99.0, 2.0, 99.0, 99.0]])
    known = torch.tensor([[True, False, False, False, True], [True, False, True, False, False]])
    found = infer(coupled(), "x", x=Partial(value, known), options={"tol": 1e-3})
    assert found.converged.all()
    assert (found.value[known] == value[known]).all()
    torch.testing.assert_close(found.value[0, 1:4], torch.tensor([1.45, 1.92, 2.43]), atol=0.05, rtol=0)
    again = infer(
        coupled(), "x", x=Partial(value, known), solver=GradientDescent(), options={"tol": 1e-3, "steps": 5000}
    )
    torch.testing.assert_close(found.value, again.value, atol=1e-2, rtol=0)


def test_a_box_and_a_mask_hold_together():
    energy = Function(lambda x: (x - 5).square().sum(1), x=Box(0, 1, 3))
    found = infer(energy, "x", x=Partial(torch.tensor([[0.25, 0.0, 0.0]]), torch.tensor([True, False, False])))
    torch.testing.assert_close(found.value, torch.tensor([[0.25, 1.0, 1.0]]))


def test_what_is_unknown_is_never_read():
    value = torch.tensor([[1.0, torch.nan, 3.0, torch.inf, 5.0]])
    found = infer(coupled(), "x", x=Partial(value, torch.tensor([True, False, True, False, True])))
    assert torch.isfinite(found.value).all()


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(SpaceError, match="boolean"):
        coupled().given(x=Partial(torch.zeros(2, 5), torch.ones(5)))
    with pytest.raises(SpaceError, match=r"broadcasts to \(2, 5\), got \(4,\)"):
        coupled().given(x=Partial(torch.zeros(2, 5), torch.ones(4, dtype=torch.bool)))
    with pytest.raises(SpaceError, match="finite"):
        coupled().given(x=Partial(torch.full((2, 5), torch.nan), torch.ones(5, dtype=torch.bool)))


def test_the_energy_of_a_completion_is_the_energy():
    energy = Quadratic.example().given(linear=torch.ones(3), constant=torch.zeros(()))
    pinned = energy.given(z=Partial(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, False, False])))
    z = torch.tensor([7.0, 2.0, 3.0])
    torch.testing.assert_close(pinned(z=z), energy(z=torch.tensor([1.0, 2.0, 3.0])))
