"""The lowest path of a chain: minima forwards, then the choices that led to them, backwards.

    V_t(j) = min_i ( V_{t−1}(i) + E(i, j) ) + E_t(j)        z_{t−1} = argmin_i ( V_{t−1}(i) + E(i, z_t) )

No pointers are kept: only the choices on the path itself are made again, K sums a step instead of K². Every few steps the
lowest V is taken off, so that long chains keep their digits. Memory: T·N·K numbers beyond the energies.

Source: Viterbi, IEEE Trans. IT 13 (1967); Forney, Proc. IEEE 61 (1973).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from ..spaces import NOTHING

#: Steps after which the lowest energy is taken off.
_EVERY = 32


@torch.no_grad()
def lowest_path(initial: Tensor, transition: Tensor, unary: Tensor, lengths: Tensor | None) -> Tensor:
    """The states of the lowest path ``(N, T)``, −1 beyond the end; of equal ones, that with the first states at the end.

    Args:
        initial: ``(K)`` or ``(N, K)``.
        transition: ``(K, K)`` or ``(N, T − 1, K, K)``, from and to.
        unary: ``(N, T, K)``, T ≥ 1.
        lengths: ``(N,)``, at most T; all of them T if left out.
    """
    count, _, states = unary.shape
    lowest = unary.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    lowest[:1] += initial
    steps = repeat(transition) if transition.ndim == 2 else transition.unbind(1)
    arcs, best = unary.new_empty(count, states, states), unary.new_empty(count, states)
    column, (last, *rows) = best[..., None], lowest[..., None].unbind()
    for t, (row, step) in enumerate(zip(rows, steps, strict=False)):
        torch.add(last, step, out=arcs)
        torch.amin(arcs, 1, out=best)
        last = row.add_(column)
        if t % _EVERY == 0:
            row.sub_(row.amin(-2, keepdim=True).nan_to_num_(posinf=0.0))
    return trace(lowest, transition, lengths, torch.add, torch.min)


def trace(
    reached: Tensor,
    transition: Tensor,
    lengths: Tensor | None,
    extend: Callable[..., Tensor],
    choose: Callable[..., Any],
) -> Tensor:
    """From the end to the beginning: at each position the state chosen among those that lead to the next one.

    Args:
        reached: ``(T, N, K)``: what it took to reach each state, or how well it can be.
        transition: ``(K, K)`` or ``(N, T − 1, K, K)``, in the same terms.
        lengths: ``(N,)``, or all T.
        extend: Puts ``reached`` and ``transition`` together: `torch.add`, `torch.mul`.
        choose: Picks a state: `torch.min`, `torch.max`.

    Returns:
        ``(N, T)``, −1 beyond the end.
    """
    positions, count, states = reached.shape
    rows = reached.unbind()
    samples = torch.arange(count, device=reached.device)
    place = torch.arange(positions, device=reached.device)
    path = torch.empty(positions, count, dtype=torch.int64, device=reached.device)
    places, back, chosen = path.unbind(), reached.new_empty(count, states), reached.new_empty(count)
    last = choose(rows[-1] if lengths is None else reached[(lengths - 1).clamp_min(0), samples], -1)[1]
    ended = None if lengths is None else (place[:, None] >= lengths - 1).unbind()
    places[-1].copy_(last)
    if transition.ndim == 2:
        turned = transition.mT.contiguous()
        for t in range(positions - 1, 0, -1):
            torch.index_select(turned, 0, places[t], out=back)
            extend(back, rows[t - 1], out=back)
            choose(back, -1, out=(chosen, places[t - 1]))
            if ended is not None:
                torch.where(ended[t - 1], last, places[t - 1], out=places[t - 1])
    else:
        for t in range(positions - 1, 0, -1):
            extend(transition[samples, t - 1, :, places[t]], rows[t - 1], out=back)
            choose(back, -1, out=(chosen, places[t - 1]))
            if ended is not None:
                torch.where(ended[t - 1], last, places[t - 1], out=places[t - 1])
    path = path.T.contiguous()
    return path if lengths is None else path.masked_fill_(place >= lengths[:, None], NOTHING)


@torch.no_grad()
def lowest_paths(
    initial: Tensor, transition: Tensor, unary: Tensor, lengths: Tensor | None, k: int
) -> tuple[Tensor, Tensor]:
    """The k lowest paths in order ``(N, k, T)``, and which of them there are ``(N, k)``; memory: T·N·K·k numbers.

    The arguments are those of `lowest_path`.
    """
    count, positions, states = unary.shape
    lowest = unary.new_full((positions, count, states, k), torch.inf)
    lowest[0, ..., 0] = unary[:, 0] + initial
    turned = transition.mT  # to and from
    for t in range(1, positions):
        ways = lowest[t - 1][:, None] + (turned if turned.ndim == 2 else turned[:, t - 1])[..., None]
        best = ways.flatten(2).topk(k, largest=False).values + unary[:, t, :, None]
        torch.sub(best, best.amin((1, 2), keepdim=True).nan_to_num(posinf=0.0), out=lowest[t])
    samples = torch.arange(count, device=unary.device)[:, None]
    ends = lowest[-1] if lengths is None else lowest[(lengths - 1).clamp_min(0), samples[:, 0]]
    values, last = ends.flatten(1).topk(k, largest=False)
    path, place = [], last  # state · k + how many ways to it are lower
    for t in range(positions - 1, -1, -1):
        if lengths is not None:
            place = torch.where((lengths - 1 <= t)[:, None], last, place)
        path.append(place // k)
        if t:
            ahead = turned[place // k] if turned.ndim == 2 else turned[samples, t - 1, place // k]
            ways = (lowest[t - 1][:, None] + ahead[..., None]).flatten(2)
            place = ways.topk(k, largest=False).indices.gather(2, (place % k)[..., None])[..., 0]
    there = values.isfinite()
    if lengths is not None:  # of no position there is one path
        there = torch.where((lengths == 0)[:, None], torch.arange(k, device=unary.device) == 0, there)
    path = torch.stack(path[::-1], -1).masked_fill(~there[..., None], NOTHING)
    if lengths is not None:
        beyond = torch.arange(positions, device=unary.device) >= lengths[:, None]
        path = path.masked_fill(beyond[:, None], NOTHING)
    return path, there
