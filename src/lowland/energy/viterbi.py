"""The lowest path of a chain: minima forwards, then the choices that led to them, backwards.

    V_t(j) = min_i ( V_{t−1}(i) + E(i, j) ) + E_t(j)        z_{t−1} = argmin_i ( V_{t−1}(i) + E(i, z_t) )

No pointers are kept: only the choices on the path itself are made again, K sums a step instead of K². Every few steps the
lowest V is taken off, so that long chains keep their digits. Memory: T·N·K numbers beyond the energies.

Source: Viterbi, IEEE Trans. IT 13 (1967); Forney, Proc. IEEE 61 (1973).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..spaces import NOTHING

#: Steps after which the lowest energy is taken off.
_EVERY = 16


@torch.no_grad()
def lowest_path(initial: Tensor, transition: Tensor, unary: Tensor, lengths: Tensor | None) -> Tensor:
    """The states of the lowest path ``(N, T)``, −1 beyond the end; of equal ones, that with the first states at the end.

    Args:
        initial: ``(K)`` or ``(N, K)``.
        transition: ``(K, K)`` or ``(N, T − 1, K, K)``, from and to.
        unary: ``(N, T, K)``, T ≥ 1.
        lengths: ``(N,)``, at most T; all of them T if left out.
    """
    count, positions, states = unary.shape
    lowest = unary.new_empty(positions, count, states)
    rows, columns = lowest.unbind(), unary.unbind(1)
    each = None if transition.ndim == 2 else transition.unbind(1)
    arcs = unary.new_empty(count, states, states)
    torch.add(columns[0], initial, out=rows[0])
    for t in range(1, positions):
        torch.add(rows[t - 1][:, :, None], transition if each is None else each[t - 1], out=arcs)
        torch.amin(arcs, 1, out=rows[t])
        rows[t].add_(columns[t])
        if t % _EVERY == 0:
            rows[t].sub_(rows[t].amin(-1, keepdim=True).nan_to_num_(posinf=0.0))
    return trace(lowest, transition, lengths, torch.add, torch.argmin)


def trace(
    reached: Tensor,
    transition: Tensor,
    lengths: Tensor | None,
    extend: Callable[..., Tensor],
    choose: Callable[..., Tensor],
) -> Tensor:
    """From the end to the beginning: at each position the state chosen among those that lead to the next one.

    Args:
        reached: ``(T, N, K)``: what it took to reach each state, or how well it can be.
        transition: ``(K, K)`` or ``(N, T − 1, K, K)``, in the same terms.
        lengths: ``(N,)``, or all T.
        extend: Puts ``reached`` and ``transition`` together: `torch.add`, `torch.mul`.
        choose: Picks a state: `torch.argmin`, `torch.argmax`.

    Returns:
        ``(N, T)``, −1 beyond the end.
    """
    positions, count, states = reached.shape
    rows = reached.unbind()
    samples = torch.arange(count, device=reached.device)
    place = torch.arange(positions, device=reached.device)
    path = torch.empty(positions, count, dtype=torch.int64, device=reached.device)
    places, back = path.unbind(), reached.new_empty(count, states)
    last = rows[-1] if lengths is None else reached[(lengths - 1).clamp_min(0), samples]
    last = choose(last, -1)
    ended = None if lengths is None else (place[:, None] >= lengths - 1).unbind()
    places[-1].copy_(last)
    each = None if transition.ndim == 2 else transition.unbind(1)
    turned = transition.mT.contiguous() if each is None else transition
    for t in range(positions - 1, 0, -1):
        if each is None:
            torch.index_select(turned, 0, places[t], out=back)
        else:
            back = each[t - 1][samples, :, places[t]]
        choose(extend(back, rows[t - 1], out=back), -1, out=places[t - 1])
        if ended is not None:
            torch.where(ended[t - 1], last, places[t - 1], out=places[t - 1])
    path = path.T.contiguous()
    return path if lengths is None else path.masked_fill_(place >= lengths[:, None], NOTHING)
