"""Data in batches: the same ones in the same order for a seed, from any position of any epoch, for any number of processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from ..errors import UsageError
from .randomness import derive

#: Tensors up to this many bytes are moved to the accelerator once, rather than batch by batch.
RESIDENT = 2**31


class Batch(NamedTuple):
    """What one step sees.

    Attributes:
        value: Of the same form as the data: a tensor, a tuple or a dict.
        indices: Which samples of the data the *whole* batch holds, all processes together; ``None`` if unknowable.
        share: This process's part of the batch × number of processes: what its loss weighs in the average gradient.
    """

    value: Any
    indices: Tensor | None = None
    share: float = 1.0


class Order:
    """Which samples make up each batch of an epoch, and which of those belong to this process.

    Args:
        samples: How many there are.
        batch_size: Samples a step, all processes together; ``None`` for all of them.
        seed: With the epoch's number it decides the order.
        lengths: ``(N,)``, how long each is: those of a batch are about equally long, batches come in random order.

    Raises:
        UsageError: If there are more or fewer lengths than samples.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int | None,
        *,
        shuffle: bool,
        drop_last: bool,
        seed: int,
        rank: int,
        processes: int,
        lengths: Tensor | None = None,
    ) -> None:
        if lengths is not None and lengths.shape != (samples,):
            raise UsageError(f"fit: wanted one length for each of {samples} samples, got {tuple(lengths.shape)}.")
        self.lengths = None if lengths is None else lengths.cpu()
        self.samples, self.size = samples, min(batch_size or samples, samples)
        self.shuffle, self.drop_last, self.seed = shuffle, drop_last, seed
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return self.samples // self.size if self.drop_last else -(-self.samples // self.size)

    def batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """From batch ``start`` on: the samples of the batch, those of this process, and its share."""
        generator = torch.Generator().manual_seed(derive(self.seed, "epoch", epoch))
        order = torch.randperm(self.samples, generator=generator) if self.shuffle else torch.arange(self.samples)
        numbers: Iterable[int] = range(len(self))
        if self.lengths is not None:
            if self.drop_last:  # at random, before the long ones are last
                order = order[: len(self) * self.size]
            order = order[self.lengths[order].argsort(stable=True)]
            if self.shuffle:
                numbers = torch.randperm(len(self), generator=generator).tolist()
        for number in islice(numbers, start, None):
            whole = order[number * self.size : (number + 1) * self.size]
            if self.processes == 1:
                yield whole, whole, 1.0
                continue
            first, end = (len(whole) * r // self.processes for r in (self.rank, self.rank + 1))
            # a process left without a sample takes one with no weight: every process must take part in every step
            mine = whole[first:end] if end > first else whole[:1]
            yield whole, mine, (end - first) * self.processes / len(whole)


class TensorBatches:
    """Tensors, picked a batch at a time: no Python loop over samples."""

    def __init__(self, data: Any, order: Order, device: torch.device) -> None:
        fits = sum(t.numel() * t.element_size() for t in _tensors(data)) <= RESIDENT
        self.data = move(data, device) if fits else data
        self.order, self.device = order, device

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for whole, mine, share in self.order.batches(number, start):
            yield Batch(move(pick(self.data, mine), self.device), whole, share)

    def look(self, indices: Tensor) -> Any:
        """These samples."""
        return pick(self.data, indices)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: the epoch and the position say it all."""


class IndexedBatches:
    """A `Dataset` that can be indexed, through torchdata's loader (workers, collation) in an order of ours."""

    def __init__(self, dataset: Dataset, order: Order, device: torch.device, **options: Any) -> None:
        self.order, self.device = order, device
        self._plan: list[tuple[Tensor, Tensor, float]] = []
        self._loader = _stateful(dataset, batch_sampler=_Planned(self._plan), **options)

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        self._plan[:] = self.order.batches(number, start)
        plan, values = list(self._plan), iter(self._loader)  # here, not in the generator: this draws a random number
        return (Batch(move(v, self.device), whole, share) for (whole, _, share), v in zip(plan, values, strict=True))

    def look(self, indices: Tensor) -> Any:
        """These samples, read again."""
        return self._loader.collate_fn([self._loader.dataset[index] for index in indices.tolist()])

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: the epoch and the position say it all."""


class _Planned:
    """A batch sampler that follows a plan."""

    def __init__(self, plan: list[tuple[Tensor, Tensor, float]]) -> None:
        self.plan = plan

    def __iter__(self) -> Iterator[list[int]]:
        return iter([mine.tolist() for _, mine, _ in self.plan])

    def __len__(self) -> int:
        return len(self.plan)


class StreamedBatches:
    """A loader with an order of its own (a custom sampler, a stream): its position is torchdata's `state_dict`."""

    def __init__(self, loader: Any, device: torch.device) -> None:
        self.loader, self.device = loader, device
        self._resumed = False

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        if start and not self._resumed:
            raise UsageError("fit: this loader can't continue in the middle of an epoch.")
        self._resumed = False
        values = iter(self.loader)
        return (Batch(move(value, self.device)) for value in values)

    def look(self, indices: Tensor) -> Any:
        """Nothing: what has gone by is gone."""
        return None

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loader.load_state_dict(state)
        self._resumed = True


Batches = TensorBatches | IndexedBatches | StreamedBatches


def batches(
    data: Any,
    *,
    batch_size: int | None,
    shuffle: bool,
    drop_last: bool,
    seed: int,
    device: torch.device,
    rank: int = 0,
    processes: int = 1,
    lengths: Tensor | None = None,
) -> Batches:
    """Whatever a user calls data, as batches.

    Args:
        data: A tensor, a tuple or dict of tensors with one first dimension, a `Dataset`, or a `DataLoader` (whose own
            batch size then counts).
        batch_size: Samples a step, all processes together; ``None`` for all of them at once.
        shuffle: Whether each epoch has an order of its own.
        drop_last: Whether a last batch that is short is left out.
        seed: Decides the order.
        device: Where batches go.
        rank: Which process this is.
        processes: Of how many.
        lengths: ``(N,)``: batches of samples that are about equally long.

    Raises:
        UsageError: If the data is empty, of unequal lengths, of no known form, or can't be divided among processes or sorted by length.
    """
    order: dict[str, Any] = {"seed": seed, "rank": rank, "processes": processes, "lengths": lengths}
    if isinstance(data, DataLoader):
        return _from_loader(data, device, order)
    if isinstance(data, IterableDataset):
        _alone(processes)
        _unsorted(lengths)
        return StreamedBatches(_stateful(data, batch_size=batch_size, drop_last=drop_last), device)
    order |= {"shuffle": shuffle, "drop_last": drop_last}
    if isinstance(data, Tensor | Mapping | tuple | list):
        return TensorBatches(data, Order(_length(data), batch_size, **order), device)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return IndexedBatches(data, Order(_some(len(data)), batch_size, **order), device)
    raise UsageError(
        f"fit: data is a {type(data).__name__}; wanted a tensor, a tuple or dict of tensors, a Dataset or a DataLoader."
    )


def pick(data: Any, indices: Tensor) -> Any:
    """The samples with these indices, in a form like the data's."""
    if isinstance(data, Tensor):
        return data.index_select(0, indices.to(data.device))
    if isinstance(data, Mapping):
        return {
            name: pick(value, indices) if isinstance(value, Tensor) else _items(value, indices)
            for name, value in data.items()
        }
    return tuple(pick(value, indices) for value in data)


def move(value: Any, device: torch.device) -> Any:
    """The same with every tensor on the device."""
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {name: move(part, device) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(move(part, device) for part in value)
    return value


def _from_loader(loader: DataLoader, device: torch.device, order: dict[str, Any]) -> Batches:
    from torchdata.stateful_dataloader import StatefulDataLoader

    options: dict[str, Any] = {
        name: getattr(loader, name)
        for name in (
            "num_workers",
            "collate_fn",
            "pin_memory",
            "timeout",
            "worker_init_fn",
            "prefetch_factor",
            "persistent_workers",
        )
    }
    standard = type(loader.sampler) in (RandomSampler, SequentialSampler) and loader.batch_size is not None
    if standard and not isinstance(loader, StatefulDataLoader):
        shuffle = type(loader.sampler) is RandomSampler
        order |= {"shuffle": shuffle, "drop_last": loader.drop_last}
        dataset: Any = loader.dataset
        return IndexedBatches(dataset, Order(_some(len(dataset)), loader.batch_size, **order), device, **options)
    _alone(order["processes"])
    _unsorted(order["lengths"])
    if isinstance(loader, StatefulDataLoader):
        return StreamedBatches(loader, device)
    if isinstance(loader.dataset, IterableDataset):
        options |= {"batch_size": loader.batch_size, "drop_last": loader.drop_last}
    else:
        options |= {"batch_sampler": loader.batch_sampler}
    return StreamedBatches(_stateful(loader.dataset, **options), device)


def _stateful(dataset: Any, **options: Any) -> Any:
    """torchdata's loader, whose position can be saved."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'set_vital' is deprecated")  # torchdata calls what torch gave up
        return StatefulDataLoader(dataset, **options)


def _alone(processes: int) -> None:
    if processes > 1:
        raise UsageError(
            "fit: this data has an order of its own and can't be divided among processes; use --devices 1."
        )


def _unsorted(lengths: Tensor | None) -> None:
    if lengths is not None:
        raise UsageError("fit: this data has an order of its own, so it can't be sorted by length; leave lengths out.")


def _length(data: Any) -> int:
    named = (
        data.items()
        if isinstance(data, Mapping)
        else enumerate(data)
        if not isinstance(data, Tensor)
        else [("data", data)]
    )
    lengths = {name: len(value) for name, value in named}
    if not lengths:
        raise UsageError("fit: the data is empty; wanted at least one variable with one sample.")
    if len(set(lengths.values())) > 1:
        raise UsageError(f"fit: every variable needs as many samples as the others, got {lengths}.")
    return _some(next(iter(lengths.values())))


def _some(samples: int) -> int:
    if not samples:
        raise UsageError("fit: the data has no samples; wanted at least one.")
    return samples


def _items(value: Sequence[Any], indices: Tensor) -> list[Any]:
    return [value[index] for index in indices.tolist()]


def _tensors(data: Any) -> Iterator[Tensor]:
    if isinstance(data, Tensor):
        yield data
    elif isinstance(data, Mapping | tuple | list):
        for part in data.values() if isinstance(data, Mapping) else data:
            yield from _tensors(part)
