"""The forward pass of a chain as scaled matrix products, and the backward pass written by hand.

    α_t = (α_{t−1} W) ∘ u_t / c_t        W = exp(−βE_transition),  u_t = exp(−βE_t)
    b_{t−1} = W (u_t ∘ b_t / c_t)        posterior of a state: α_t ∘ b_t

Each u_t is divided by its largest entry, W by its largest, and every few steps by the sum c_t of the α before, so that nothing
leaves the range of the dtype; what was divided out is summed in double precision. If the transition energies span ρ nats, a weight that
underflows can stand for a share of exp(−range + (r + 1) ρ) at most, r being the steps between two divisions: r is chosen to
make that nothing. Where it can't be (ρ is large, or transitions are forbidden) the pass is checked: a sample that has a
reachable state of too little weight is reported as lost, for a recursion over logarithms to do.

A stretch of steps is done at a time, few enough to stay in the cache. Memory beyond the energies and their gradient: 2 T·N·K numbers,
or (4 C + T/C)·N·K with a checkpoint every C steps, for one more forward pass; C = √T / 2 is least. K² for each step of a stretch
where transitions differ from step to step. Without a gradient: a stretch.

Source: Rabiner, Proc. IEEE 77 (1989), section V.A, for the scaling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .threads import threads_for

#: Steps between two divisions at most.
_LONGEST = 16
#: Nats below which a share is nothing: 1e-11.
_NOTHING = 25.0
#: Memory of the α of one stretch, in bytes, and its steps at least.
_BYTES, _FEWEST = 800_000, 16


@dataclass(frozen=True)
class _Transitions:
    """Weights of transitions, the largest 1."""

    weights: Tensor  # (K, K), or (N, C, K, K) for the steps of one stretch
    lowest: Tensor  # (), or (N, C): the energy that was taken off

    @classmethod
    def of(cls, energies: Tensor, beta: float) -> _Transitions:
        lowest = energies.amin((-2, -1), keepdim=True).clamp_max(torch.finfo(energies.dtype).max)
        return cls(((lowest - energies) * beta).exp(), lowest[..., 0, 0])


def span(transition: Tensor) -> float:
    """Highest minus lowest energy of a transition at any one step; +∞ if one is forbidden."""
    if not transition.numel():
        return 0.0
    return float((transition.amax((-2, -1)) - transition.amin((-2, -1))).max().nan_to_num(torch.inf))


def stride(nats: float, states: int, dtype: torch.dtype) -> int:
    """How many steps may pass between two divisions, when transitions span so many nats; 0 if none may."""
    carried = -math.log(torch.finfo(dtype).tiny)
    grows = int(0.5 * carried / math.log(max(states, 2)))
    spare = carried - _NOTHING - math.log(states)
    shrinks = int(spare / nats) - 1 if nats > 0 else _LONGEST
    return max(0, min(grows, shrinks, _LONGEST)) if math.isfinite(nats) else 0


class ScaledScan(torch.autograd.Function):
    """Free energy of all paths of a chain, and which samples were lost to underflow: ``(N,)`` and ``(N,)`` bool.

    Called with ``initial (K) | (N, K)``, ``transition (K, K) | (N, T − 1, K, K)``, ``unary (N, T, K)``, ``lengths (N) | None``,
    ``beta``, the steps between checkpoints (0: none) and whether there is to be a gradient. Differentiable once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        initial: Tensor,
        transition: Tensor,
        unary: Tensor,
        lengths: Tensor | None,
        beta: float,
        checkpoint: int,
        slope: bool,
    ) -> tuple[Tensor, Tensor]:
        count, positions, states = unary.shape
        nats = span(transition) * beta
        every = stride(nats, states, unary.dtype)
        ctx.checked, ctx.every, ctx.beta = every == 0, max(every, 1), beta
        ctx.stretch = min(positions, checkpoint or max(_FEWEST, _BYTES // max(1, unary[:, 0].nbytes)))
        keep = slope and not checkpoint
        ctx.save_for_backward(initial, transition, unary, lengths)
        ctx.shared = _Transitions.of(transition, beta) if transition.ndim == 2 else None
        ctx.kept, ctx.scales = [], []
        offset = unary.new_zeros(count, dtype=torch.float64)
        total = unary.new_ones(count)
        lost = torch.zeros(count, dtype=torch.bool, device=unary.device)
        alpha = None
        space = None if keep else unary.new_empty(2, ctx.stretch, count, states)
        for start in range(0, positions, ctx.stretch):
            stop = min(start + ctx.stretch, positions)
            here = unary.new_empty(2, stop - start, count, states) if space is None else space[:, : stop - start]
            lowest = _emissions(weights := here[0], initial, unary, lengths, beta, start, stop)
            moves = ctx.shared or _moves(transition, beta, start, stop)
            scales = _forward(alphas := here[1], weights, moves, alpha, start, ctx.every, None)
            offset -= beta * lowest.sum(0, dtype=torch.float64)
            offset -= beta * _taken(moves, lengths, start, stop, count)
            if scales:
                logarithms = torch.stack(scales).squeeze(-1).double().log()
                if lengths is not None:
                    first = -(-max(start, 1) // ctx.every)
                    place = ctx.every * torch.arange(first, first + len(scales), device=unary.device)
                    logarithms.masked_fill_(place[:, None] >= lengths, 0.0)
                offset += logarithms.sum(0)
            if ctx.checked:
                lost |= _lost(alphas, alpha, transition, initial, unary, lengths, start, stop)
            if lengths is None:
                total = alphas[-1].sum(-1)
            else:
                ends = (lengths > start) & (lengths <= stop)
                last = (lengths - 1 - start).clamp(0, stop - start - 1)
                total = torch.where(ends, alphas[last, torch.arange(count, device=unary.device)].sum(-1), total)
            ctx.kept.append((alpha, weights, alphas) if keep else alpha)
            ctx.scales.append(scales)
            alpha = alphas[-1] if keep else alphas[-1].clone()
        ctx.total, ctx.lost = total, lost
        ctx.mark_non_differentiable(lost)
        free = -(total.double().log() + offset) / beta
        return free.to(unary.dtype), lost

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        initial, transition, unary, lengths = ctx.saved_tensors
        positions = unary.shape[1]
        dead = (ctx.total == 0) | ctx.lost
        grad = grads[0].masked_fill(dead, 0.0)[:, None]
        ends = (1 / ctx.total).masked_fill(dead, 0.0)[:, None]
        slope = torch.empty_like(unary) if ctx.needs_input_grad[2] else None
        moved = torch.zeros_like(transition) if ctx.needs_input_grad[1] else None
        begun = torch.zeros_like(initial) if ctx.needs_input_grad[0] else None
        place = torch.arange(positions, device=unary.device)
        begins = None if lengths is None else ((place[:, None] == lengths - 1)[..., None] * ends)
        after = None
        space = unary.new_empty(4, ctx.stretch, *unary.shape[::2])
        for part in reversed(range(len(ctx.kept))):
            start = part * ctx.stretch
            stop = min(start + ctx.stretch, positions)
            here = space[:, : stop - start]
            moves = ctx.shared or _moves(transition, ctx.beta, start, stop)
            if isinstance(ctx.kept[part], tuple):
                before, weights, alphas = ctx.kept[part]
            else:
                before = ctx.kept[part]
                _emissions(weights := here[2], initial, unary, lengths, ctx.beta, start, stop)
                _forward(alphas := here[3], weights, moves, before, start, ctx.every, ctx.scales[part])
            # b: what the rest of the path adds; flows: the same times the weights of its own step
            b, flows = here[0], here[1]
            if after is None:
                b[-1] = ends if begins is None else begins[-1]
            else:
                b[-1] = after
            after = _backward(b, flows, weights, alphas, moves, begins, start, before, ctx.checked)
            b *= alphas
            b *= grad
            if ctx.lost.any():
                b[:, dead], flows[:, dead] = 0.0, 0.0
            if slope is not None:
                slope[:, start:stop] = b.transpose(0, 1)
            if start == 0 and begun is not None:
                begun += b[0] if initial.ndim == 2 else b[0].sum(0)
            if moved is not None:
                flows *= grad
                _count(moved, alphas, before, flows, moves, start, stop)
        if moved is not None and ctx.shared is not None:
            moved *= ctx.shared.weights
        return begun, moved, slope, None, None, None, None


def forward_weights(
    initial: Tensor, transition: Tensor, unary: Tensor, lengths: Tensor | None, beta: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What a draw of a path needs: α ``(T, N, K)`` up to a factor for each position and sample, W, and which samples are lost."""
    positions, states = unary.shape[1:]
    every = stride(span(transition) * beta, states, unary.dtype)
    space = unary.new_empty(2, positions, len(unary), states)
    _emissions(weights := space[0], initial, unary, lengths, beta, 0, positions)
    moves = _Transitions.of(transition, beta)
    _forward(alphas := space[1], weights, moves, None, 0, max(every, 1), None)
    if every:
        lost = torch.zeros(len(unary), dtype=torch.bool, device=unary.device)
    else:
        lost = _lost(alphas, None, transition, initial, unary, lengths, 0, positions)
    return alphas, moves.weights, lost


def _emissions(
    weights: Tensor, initial: Tensor, unary: Tensor, lengths: Tensor | None, beta: float, start: int, stop: int
) -> Tensor:
    """Fills the weights of the states ``(C, N, K)``, the largest 1, none beyond the end; returns the energy taken off ``(C, N)``."""
    energies = unary[:, start:stop]
    lowest = energies.amin(-1, keepdim=True)
    if start == 0:
        first = energies[:, 0] + initial
        lowest[:, 0] = first.amin(-1, keepdim=True)
    lowest = lowest.clamp_max_(torch.finfo(unary.dtype).max).transpose(0, 1)
    torch.sub(lowest, energies.transpose(0, 1), out=weights)
    if start == 0:
        torch.sub(lowest[0], first, out=weights[0])
    if beta != 1.0:
        weights *= beta
    weights.exp_()
    lowest = lowest[..., 0]
    if lengths is not None:
        beyond = torch.arange(start, stop, device=unary.device)[:, None] >= lengths
        weights.masked_fill_(beyond[..., None], 0.0)
        lowest = lowest.masked_fill(beyond, 0.0)
    return lowest


def _moves(transition: Tensor, beta: float, start: int, stop: int) -> _Transitions:
    """The transitions into the positions of a stretch, where each step has its own."""
    return _Transitions.of(transition[:, max(start - 1, 0) : stop - 1], beta)


def _taken(moves: _Transitions, lengths: Tensor | None, start: int, stop: int, count: int) -> Tensor:
    """The energy taken off the transitions of a stretch, summed to each sample's end."""
    lowest = moves.lowest.double()
    into = torch.arange(max(start, 1), stop, device=lowest.device)
    there = len(into) * lowest.new_ones(count) if lengths is None else (into < lengths[:, None]).sum(1)
    if lowest.ndim == 0:
        return lowest * there
    return lowest.sum(1) if lengths is None else lowest.masked_fill(into >= lengths[:, None], 0.0).sum(1)


def _forward(
    alphas: Tensor,
    weights: Tensor,
    moves: _Transitions,
    before: Tensor | None,
    start: int,
    every: int,
    scales: list[Tensor] | None,
) -> list[Tensor]:
    """Fills the α of a stretch; its weights are divided by the sums in place. Sums known from a first pass are used again."""
    found = []
    rows, steps, outs = weights.unbind(), _steps(moves), alphas.unbind()
    first = 0
    if before is None:
        before, first = outs[0].copy_(rows[0]), 1
    stop, shared, product = start + len(rows), moves.weights, torch.mm
    here, tiny = start + first, torch.finfo(weights.dtype).tiny
    begun = -(-here // every)  # how many divisions came before
    with threads_for(weights[0].numel() * weights.shape[-1]):
        while here < stop:
            if here % every == 0:
                if scales is None:
                    found.append(before.sum(-1, keepdim=True).clamp_min_(tiny))
                rows[here - start].div_((found if scales is None else scales)[here // every - begun])
            there = min((here // every + 1) * every, stop)
            inside = slice(here - start, there - start)
            if steps is None:
                for row, out in zip(rows[inside], outs[inside], strict=True):
                    product(before, shared, out=out)
                    before = out.mul_(row)
            else:
                each = steps[here - start - first : there - start - first]
                for row, out, step in zip(rows[inside], outs[inside], each, strict=True):
                    torch.bmm(before[:, None], step, out=out[:, None])
                    before = out.mul_(row)
            here = there
    return found if scales is None else scales


def _backward(
    b: Tensor,
    flows: Tensor,
    weights: Tensor,
    alphas: Tensor,
    moves: _Transitions,
    begins: Tensor | None,
    start: int,
    before: Tensor | None,
    checked: bool,
) -> Tensor | None:
    """Fills b, whose last row is known, and flows; returns b before the stretch."""
    steps = _steps(moves)
    turned = moves.weights.mT.contiguous() if steps is None else moves.weights
    rows, outs, ahead = weights.unbind(), b.unbind(), flows.unbind()
    shift = 1 if start == 0 else 0
    into = None
    with threads_for(weights[0].numel() * weights.shape[-1]):
        for i in reversed(range(len(rows))):
            if checked:  # what can't be reached may have grown out of range
                outs[i].masked_fill_(alphas[i] == 0, 0.0)
            torch.mul(rows[i], outs[i], out=ahead[i])
            if i == 0 and start == 0:
                return None
            into = outs[i - 1] if i else torch.empty_like(outs[0])
            if steps is None and begins is None:
                torch.mm(ahead[i], turned, out=into)
            elif steps is None and begins is not None:
                torch.addmm(begins[start + i - 1], ahead[i], turned, out=into)
            elif steps is not None:
                torch.bmm(steps[i - shift], ahead[i][..., None], out=into[..., None])
                if begins is not None:
                    into += begins[start + i - 1]
    return into


def _steps(moves: _Transitions) -> tuple[Tensor, ...] | None:
    return None if moves.weights.ndim == 2 else moves.weights.unbind(1)


def _count(
    moved: Tensor,
    alphas: Tensor,
    before: Tensor | None,
    flows: Tensor,
    moves: _Transitions,
    start: int,
    stop: int,
) -> None:
    """Adds how often each transition is expected, but for its own weight where all steps share it."""
    if moves.weights.ndim == 2:
        if before is not None:
            moved.addmm_(before.mT, flows[0])
        if len(alphas) > 1:
            moved.addmm_(alphas[:-1].flatten(0, 1).mT, flows[1:].flatten(0, 1))
        return
    into = moved[:, max(start - 1, 0) : stop - 1]
    shift = 0
    if before is not None:
        into[:, 0] = before[..., None] * flows[0][:, None] * moves.weights[:, 0]
        shift = 1
    pairs = alphas[:-1].transpose(0, 1)[..., None] * flows[1:].transpose(0, 1)[:, :, None]
    into[:, shift:] = pairs * moves.weights[:, shift:]


def _lost(
    alphas: Tensor,
    before: Tensor | None,
    transition: Tensor,
    initial: Tensor,
    unary: Tensor,
    lengths: Tensor | None,
    start: int,
    stop: int,
) -> Tensor:
    """Which samples have a state with hardly any weight although a path leads there: ``(N,)``."""
    floor = torch.finfo(alphas.dtype).tiny * math.exp(_NOTHING)
    reached = alphas > 0
    if before is not None:
        reached = torch.cat([(before > 0)[None], reached])
    can = unary[:, start:stop].transpose(0, 1).isfinite()
    if lengths is not None:
        can = can & (torch.arange(start, stop, device=unary.device)[:, None] < lengths)[..., None]
    open_ = transition.isfinite().to(alphas.dtype)
    if transition.ndim == 2:
        led = reached[:-1].to(alphas.dtype) @ open_
    else:
        part = open_[:, max(start - 1, 0) : stop - 1].transpose(0, 1)
        led = (reached[:-1, :, None].to(alphas.dtype) @ part).squeeze(-2)
    led = led > 0
    if before is None:
        led = torch.cat([initial.isfinite().expand(1, *alphas.shape[1:]), led])
    return (led & can & (alphas < floor)).any(-1).any(0)
