"""Times that a busy machine disturbs least: contenders take turns of several calls, and of each the best call counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

#: Calls in a turn: the first pays for what the contender before has left in the caches, and for its threads that still spin.
CALLS = 3


def seconds() -> float:
    """A clock: processor time on one thread, where what other programs do does not count; the wall clock on several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def interleaved(
    contenders: Mapping[Any, Callable[[], Any]], repeats: int, calls: int = CALLS, warm: bool = False
) -> tuple[dict[Any, float], dict[Any, Any]]:
    """Seconds of the best of several rounds, after one that warms up unless they are warm, and what each contender returned last."""
    times: dict[Any, float] = dict.fromkeys(contenders, float("inf"))
    results: dict[Any, Any] = {}
    for turn in range(int(warm), repeats + 1):
        for name, contender in contenders.items():
            for _ in range(calls if turn else 1):
                began = seconds()
                results[name] = contender()
                if turn:
                    times[name] = min(times[name], seconds() - began)
    return times, results
