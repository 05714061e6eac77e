"""Batches: every sample once an epoch, the same order for a seed, from any position, for any number of processes."""

import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from lowland.errors import UsageError
from lowland.train.batches import Order, batches

CPU = torch.device("cpu")
PLAIN = {"batch_size": 4, "shuffle": True, "drop_last": False, "seed": 3, "device": CPU}


def order(
    samples: int, size: int | None, rank: int = 0, processes: int = 1, drop_last: bool = False, seed: int = 0
) -> Order:
    return Order(samples, size, shuffle=True, drop_last=drop_last, seed=seed, rank=rank, processes=processes)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5), st.booleans())
def test_an_epoch_holds_each_sample_once_and_can_begin_anywhere(samples, size, epoch, drop_last):
    every = [whole.tolist() for whole, _, _ in order(samples, size, drop_last=drop_last).batches(epoch, 0)]
    assert len(every) == len(order(samples, size, drop_last=drop_last))
    flat = sorted(sample for batch in every for sample in batch)
    assert len(flat) == len(set(flat)) and (drop_last or flat == list(range(samples)))
    for start in range(len(every) + 1):
        assert [
            whole.tolist() for whole, _, _ in order(samples, size, drop_last=drop_last).batches(epoch, start)
        ] == every[start:]


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 4))
def test_processes_share_each_batch(samples, size, processes):
    whole = [batch.tolist() for batch, _, _ in order(samples, size).batches(0, 0)]
    parts = [list(order(samples, size, rank, processes).batches(0, 0)) for rank in range(processes)]
    for number, batch in enumerate(whole):
        mine = [part[number] for part in parts]
        assert all(one[0].tolist() == batch for one in mine)
        assert sum(share for _, _, share in mine) == pytest.approx(processes)
        weighed = [(sample, share / processes / len(own)) for _, own, share in mine for sample in own.tolist() if share]
        assert sorted(sample for sample, _ in weighed) == sorted(batch)
        assert all(weight == pytest.approx(1 / len(batch)) for _, weight in weighed)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 3))
def test_batches_by_length_hold_each_sample_once_and_little_padding(samples, size, processes, drop_last, epoch):
    lengths = torch.randint(1, 20, (samples,), generator=torch.Generator().manual_seed(samples))
    options = {"shuffle": True, "drop_last": drop_last, "seed": 0, "processes": processes, "lengths": lengths}
    orders = [Order(samples, size, rank=rank, **options) for rank in range(processes)]
    every = [whole for whole, _, _ in orders[0].batches(epoch, 0)]
    flat = sorted(torch.cat(every).tolist())
    assert len(every) == len(orders[0]) and len(flat) == len(set(flat)) and (drop_last or len(flat) == samples)
    ranges = sorted((int(lengths[batch].min()), int(lengths[batch].max())) for batch in every)
    assert all(longest <= shortest for (_, longest), (shortest, _) in pairwise(ranges))
    for start in range(len(every) + 1):  # from anywhere, and for every process
        for order in orders:
            rest = [whole.tolist() for whole, _, _ in order.batches(epoch, start)]
            assert rest == [batch.tolist() for batch in every[start:]]


def test_batches_by_length_come_in_random_order():
    lengths = torch.arange(40) % 10
    options = {"drop_last": False, "seed": 0, "rank": 0, "processes": 1, "lengths": lengths}
    by_length = Order(40, 4, shuffle=True, **options)
    first, second = ([batch for batch, _, _ in by_length.batches(epoch, 0)] for epoch in (0, 1))
    seen = [[int(lengths[batch][0]) for batch in batches] for batches in (first, second)]
    assert seen[0] != sorted(seen[0]) and seen[0] != seen[1] and sorted(seen[0]) == sorted(seen[1])
    ninth = Order(9, 4, shuffle=True, **{**options, "drop_last": True, "lengths": torch.arange(9)})
    kept = [torch.cat([batch for batch, _, _ in ninth.batches(epoch, 0)]) for epoch in range(20)]
    dropped = {frozenset(range(9)) - {*rows.tolist()} for rows in kept}
    assert len(dropped) > 3  # not always the longest is left out
    in_order = torch.cat([batch for batch, _, _ in Order(40, 4, shuffle=False, **options).batches(0, 0)])
    assert lengths[in_order].tolist() == sorted(lengths.tolist())


def test_lengths_must_fit_the_data():
    with pytest.raises(UsageError, match=r"one length for each of 10 samples, got \(3,\)"):
        batches(torch.zeros(10, 2), **PLAIN, lengths=torch.ones(3))
    with pytest.raises(UsageError, match="can't be sorted by length"):
        batches(DataLoader(Squares(), batch_size=4, sampler=torch.utils.data.WeightedRandomSampler(torch.ones(10), 10)),
                **PLAIN, lengths=torch.ones(10))  # fmt: skip


def test_epochs_and_seeds_differ():
    def first(epoch: int, seed: int) -> list[int]:
        return next(order(50, 50, seed=seed).batches(epoch, 0))[0].tolist()

    assert first(0, 0) == first(0, 0) and first(0, 0) != first(1, 0) != first(1, 1)


class Squares(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, index**2])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(10.0))


def stateful() -> StatefulDataLoader:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'set_vital' is deprecated")
        return StatefulDataLoader(Squares(), batch_size=4, shuffle=True)


X, Y = torch.arange(10.0), torch.arange(10)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (X, torch.Tensor),
        ((X, Y), tuple),
        ({"x": X, "y": Y}, dict),
        ({"x": X, "texts": list("abcdefghij")}, dict),
        (Squares(), torch.Tensor),
        (TensorDataset(X, Y), list),
        (DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=True), list),
        (DataLoader(Squares(), batch_size=4, sampler=SequentialSampler(Squares())), torch.Tensor),
        (stateful(), torch.Tensor),
        (Stream(), torch.Tensor),
    ],
)
def test_every_form_of_data(data, kind):
    found = [batch.value for batch in batches(data, **PLAIN).epoch(0)]
    assert all(isinstance(value, kind) for value in found)
    firsts = [value["x"] if kind is dict else value[0] if kind in (tuple, list) else value for value in found]
    assert [len(first) for first in firsts] == [4, 4, 2]
    column = torch.cat([first if first.ndim == 1 else first[:, 0] for first in firsts])
    assert sorted(column.tolist()) == list(range(10))


def test_lists_in_a_dict_follow_their_tensors():
    for batch in batches({"x": X, "texts": list("abcdefghij")}, **PLAIN).epoch(0):
        assert batch.value["texts"] == ["abcdefghij"[int(i)] for i in batch.value["x"]]


def test_a_dataset_and_a_tensor_come_in_the_same_order():
    tensor = [
        batch.value for batch in batches(torch.stack([torch.tensor([i, i**2]) for i in range(10)]), **PLAIN).epoch(2, 1)
    ]
    dataset = [batch.value for batch in batches(Squares(), **PLAIN).epoch(2, 1)]
    assert all((a == b).all() for a, b in zip(tensor, dataset, strict=True)) and len(tensor) == 2


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (torch.zeros(0, 3), "no samples"),
        ({}, "empty"),
        ({"x": torch.zeros(3), "y": torch.zeros(4)}, r"\{'x': 3, 'y': 4\}"),
        (3.0, "wanted a tensor.*a Dataset or a DataLoader"),
    ],
)
def test_data_that_is_none(data, complaint):
    with pytest.raises(UsageError, match=complaint):
        batches(data, **PLAIN)


def test_a_stream_is_not_divided_in_silence():
    with pytest.raises(UsageError, match="--devices 1"):
        batches(Stream(), **PLAIN, processes=2)
