"""What a variable ranges over: errors that name it, projections, enumeration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowland.errors import SpaceError, StructureError
from lowland.spaces import Binary, Box, Categorical, Integers, Labels, NonNegative, Paths, Real, Sequence, Sphere


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
        (Labels(3, 2), torch.tensor([[0, 2], [1, -1]]), ["speed", "0 to 2", "-1", "(1, 1)"]),
        (Paths(2, 3), torch.tensor([[0, -1], [3, 1]]), ["speed", "−1 (nothing) to 2", "3", "(1, 0)"]),
        (Sequence(3, 2), torch.tensor([[0, -2]]), ["speed", "−1 (nothing) to 2", "-2", "(0, 1)"]),
    ],
)
def test_a_value_outside_its_space_is_refused_in_a_sentence(space, value, words):
    with pytest.raises(SpaceError) as caught:
        space.check(value, "speed")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_impossible_spaces_are_refused():
    choices = (lambda: Categorical(0), lambda: Labels(0, 2), lambda: Paths(3, 0))
    for make in (lambda: Box(1, 0, 2), *choices, lambda: Real(-1), lambda: Sphere()):
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


@pytest.mark.parametrize("space", [Categorical(4), Labels(4, 3), Paths(3, 4), Sequence(4, 3)], ids=repr)
def test_integers_are_projected_and_drawn_between_their_ends(space):
    lowest = -1 if isinstance(space, Paths | Sequence) else 0
    far = torch.tensor([-7, 1, 9]) if space.shape else torch.tensor(9)
    assert space.project(far).tolist() == ([lowest, 1, 3] if space.shape else 3)
    drawn = space.initial((500,), generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (500, *space.shape) and drawn.unique().tolist() == [0, 1, 2, 3]
    assert isinstance(space, Integers) and space.finite and space.k == 4


def test_only_arrays_that_can_be_listed_have_a_size():
    assert Binary(20).size == 2**20 and Binary(21).size is None
    assert Labels(2, 20).size == 2**20 and Labels(2, 21).size is None
    assert Binary(21).finite and Labels(2, 21).finite and not Real(2).finite
