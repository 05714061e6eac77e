"""Spearman's rank correlation: order, ties, and what is no number."""

import pytest
import torch

from lowland.errors import SpaceError
from lowland.objectives import rank_correlation


def test_only_order_counts():
    one = torch.tensor([3.0, 1.0, 2.0, 10.0])
    assert rank_correlation(one, one.exp()) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)


def test_it_is_scipys_with_ties_too():
    stats = pytest.importorskip("scipy.stats")
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randint(5, (2, 60), generator=generator).double()
    assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert rank_correlation(one, torch.ones(60)) == 0


@pytest.mark.parametrize("other", [torch.ones(3), torch.tensor([1.0, float("nan")])])
def test_what_can_not_be_put_in_order_is_refused(other):
    with pytest.raises(SpaceError, match="rank_correlation"):
        rank_correlation(torch.ones(2), other)
