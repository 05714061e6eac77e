"""What a variable ranges over: errors that name it, projections, enumeration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowland.errors import SpaceError, StructureError
from lowland.spaces import Binary, Box, Categorical, NonNegative, Real, Sphere


@pytest.mark.parametrize(
    ("space", "value", "words"),
    [
        (Real(3), torch.zeros(2, 4), ["speed", "(*batch, 3)", "(2, 4)"]),
        (Real(3), torch.zeros(2, 3, dtype=torch.long), ["speed", "floating-point", "int64"]),
        (Real(2), torch.tensor([[0.0, torch.inf]]), ["speed", "finite", "inf", "(0, 1)"]),
        (Box(0, 1, 2), torch.tensor([[0.5, 1.5]]), ["speed", "0 to 1", "1.5", "(0, 1)"]),
        (NonNegative(2), torch.tensor([[0.5, -1.0]]), ["speed", "≥ 0", "-1"]),
        (Sphere(2), torch.tensor([[3.0, 4.0]]), ["speed", "length 1", "5"]),
        (Binary(2), torch.tensor([[0.0, 0.5]]), ["speed", "zeros and ones", "0.5"]),
        (Categorical(3), torch.tensor([0, 3]), ["speed", "0 to 2", "3", "(1,)"]),
        (Categorical(3), torch.tensor([0.0]), ["speed", "integer", "float32"]),
    ],
)
def test_a_value_outside_its_space_is_refused_in_a_sentence(space, value, words):
    with pytest.raises(SpaceError) as caught:
        space.check(value, "speed")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_impossible_spaces_are_refused():
    for make in (lambda: Box(1, 0, 2), lambda: Categorical(0), lambda: Real(-1), lambda: Sphere()):
        with pytest.raises(SpaceError):
            make()


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3))
def test_a_projection_is_the_nearest_point(numbers):
    value = torch.tensor(numbers, dtype=torch.float64)
    others = torch.randn(50, 3, dtype=torch.float64)
    for space in (Box(-1.0, 0.5, 3), NonNegative(3), Sphere(3)):
        nearest = space.norm(space.project(value) - value)
        assert (space.norm(space.project(others) - value) >= nearest - 1e-9).all()


def test_bits_are_listed_in_counting_order_and_only_when_few():
    assert Binary(2).enumerate().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    with pytest.raises(StructureError, match="Gibbs"):
        Binary(64).enumerate()


def test_spaces_compare_by_what_they_are():
    assert Real(3) == Real(3) != Real(4)
    assert Real(3) != NonNegative(3)
    assert Box(0, 1, 3) != Box(0, 2, 3)
    assert len({Categorical(3), Categorical(3), Categorical(4)}) == 2
