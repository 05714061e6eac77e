"""Loops of many small operations on one thread: waking another costs more than it saves, and waiting for it stalls a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: Multiplications or sums of one operation below which a second thread is no help.
_SMALL = 1 << 17


@contextmanager
def threads_for(work: int) -> Iterator[None]:
    """Inside, torch's operations stay on the calling thread, if each of them does so little.

    Args:
        work: Multiplications or sums of the largest operation inside.
    """
    threads = torch.get_num_threads()
    if work > _SMALL or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
