"""Objectives over pairs: values by hand, queues that remember, and what they refuse."""

import pytest
import torch

from lowland.energy import Function
from lowland.errors import SpaceError, VariableError
from lowland.objectives import ContrastivePairs, InfoNCE, Triplet
from lowland.spaces import Real

distance = Function(lambda x, y: 0.5 * (x - y).square().sum(-1), x=Real(1), y=Real(1))


def column(*numbers):
    return torch.tensor(numbers).unsqueeze(-1)


def test_contrastive_pairs_by_hand():
    batch = {"x": column(0.0, 0.0, 0.0), "y": column(2.0, 0.5, 3.0), "same": torch.tensor([True, False, False])}
    loss = ContrastivePairs(margin=2.0)(distance, batch)
    assert loss.value.item() == pytest.approx((2.0 + 0.5 * 1.5**2 + 0.0) / 3)


def test_contrastive_pairs_have_a_finite_slope_where_embeddings_coincide():
    y = column(0.0).requires_grad_()
    ContrastivePairs()(distance, {"x": column(0.0), "y": y, "same": torch.tensor([False])}).value.backward()
    assert torch.isfinite(y.grad).all()


def test_triplets_by_hand():
    batch = {"x": column(0.0, 0.0), "y": column(1.0, 1.0), "other": column(2.0, 1.0)}
    loss = Triplet(margin=0.5)(distance, batch)
    assert loss.value.item() == pytest.approx((0.0 + 0.5) / 2)
    assert loss.parts["violated"] == 0.5


def test_info_nce_is_cross_entropy_over_the_batch_and_the_queue():
    objective = InfoNCE(beta=2.0, queue=3)
    first = {"x": column(0.0, 1.0), "y": column(0.1, 1.2)}
    value = objective(distance, first).value
    table = 0.5 * (first["x"] - first["y"].T).square()
    wanted = (table.diagonal() + torch.logsumexp(-2 * table, 1) / 2).mean()
    torch.testing.assert_close(value, wanted)
    second = {"x": column(5.0, 6.0), "y": column(5.0, 6.0)}
    objective(distance, second)
    torch.testing.assert_close(objective.state_dict()["past"], column(5.0, 6.0, 0.1))
    table = 0.5 * (first["x"] - torch.cat([first["y"], column(5.0, 6.0, 0.1)]).T).square()
    wanted = (table.diagonal() + torch.logsumexp(-2 * table, 1) / 2).mean()
    again = InfoNCE(beta=2.0, queue=3)
    again.load_state_dict(objective.state_dict())
    torch.testing.assert_close(again(distance, first).value, wanted)


def test_what_belongs_together_must_be_said():
    batch = {"x": column(0.0), "y": column(0.0)}
    with pytest.raises(VariableError, match="has x, y but not same"):
        ContrastivePairs()(distance, batch)
    with pytest.raises(VariableError, match="but not other"):
        Triplet()(distance, batch)
    with pytest.raises(SpaceError, match="wanted booleans"):
        ContrastivePairs()(distance, {**batch, "same": torch.tensor([2])})
    with pytest.raises(SpaceError, match="margin > 0"):
        Triplet(margin=0.0)
