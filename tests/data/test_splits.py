"""Parts held out: in proportion, disjoint, the same for the same seed."""

import pytest
import torch

from lowland.data import holdout, stratified
from lowland.data.splits import balanced
from lowland.errors import UsageError

Y = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)


def test_a_split_shares_out_every_sample_in_proportion():
    kept, held = stratified(Y, 0.2, seed=3)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(100))
    assert Y[held].bincount().tolist() == [10, 6, 4]


def test_a_seed_fixes_the_rows_and_another_changes_them():
    assert stratified(Y, 0.2, 1)[1].tolist() == stratified(Y, 0.2, 1)[1].tolist()
    assert set(stratified(Y, 0.2, 1)[1].tolist()) != set(stratified(Y, 0.2, 2)[1].tolist())


def test_every_named_tensor_is_split_alike():
    train, validation = holdout({"x": torch.arange(100.0)[:, None], "y": Y}, 0.1)
    assert len(train["x"]) == 90 and len(validation["x"]) == 10
    assert torch.equal(Y[validation["x"].long()[:, 0]], validation["y"])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5])
def test_a_fraction_out_of_range_is_a_sentence(fraction):
    with pytest.raises(UsageError, match="wanted 0 < fraction < 1"):
        stratified(Y, fraction)


def test_too_few_of_a_class_is_a_sentence():
    with pytest.raises(UsageError, match="cannot be shared out"):
        stratified(torch.tensor([0, 0, 0, 1]), 0.5)


def test_rows_are_drawn_alike_from_every_class():
    one, other = (balanced(Y, 30, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert Y[one].bincount().tolist() == [10] * 3
    assert len(one.unique()) == 30
    assert set(one.tolist()) != set(other.tolist())
    assert torch.equal(balanced(Y, 30, torch.Generator().manual_seed(0)), one)


@pytest.mark.parametrize("count", [0, 7, 63])
def test_rows_that_can_not_be_drawn_alike_are_a_sentence(count):
    with pytest.raises(UsageError, match="multiple of the 3 classes, at most 20 rows of each"):
        balanced(Y, count)
