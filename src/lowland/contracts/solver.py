"""What every solver promises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..energy import L1, Autoregressive, Bigram, Conditioned, Energy, FreeEnergy, Function, Quadratic, RandomField
from ..inference import Solution, Solver, solve
from ..spaces import Binary, Real, Sequence
from .failure import ContractError, close, require


def check_solver(solver: Solver) -> None:
    """Hold a solver to its contract, on a small problem of the kind it says it is `tried_on`.

    The state leads with the value and with the batch; nothing of the caller's changes; rows never influence each other; a
    generator repeats it; float64 stays float64. A minimiser finds the lowest point, says so, and stays there; unrolled, gradients
    flow through it. A stochastic one comes near the lowest point, and never claims to have arrived. One that looks over beliefs
    finds a stationary point of their free energy. A sampler draws from exp(−βE), and never claims to have converged. One that reads
    sequences symbol by symbol answers with sequences, and with their energies.

    Raises:
        ContractError: For the first promise that is broken.
    """
    who = type(solver).__name__
    if solver.tried_on == "sequence":
        _check_decoder(solver, who)
        return
    energy, lowest = (_beliefs(solver, _field()), None) if solver.tried_on == "field" else _problem(solver.tried_on)
    start = energy.space.initial((6,), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _check_state(solver, energy, start, who)
    _check_rows(solver, energy, start, who)
    if solver.samples:
        _check_samples(solver, energy, who)
    elif solver.stochastic:
        _check_near(solver, energy, start, lowest, who)
    elif lowest is None:
        _check_beliefs(solver, energy, start, who)
    else:
        _check_minimum(solver, energy, start, lowest, who)


def _problem(kind: str) -> tuple[Energy, Tensor]:
    """An energy of six samples, and what its answer is: the minimiser, or the mean."""
    gram = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.5]], dtype=torch.float64)
    linear = torch.linspace(-2, 2, 18, dtype=torch.float64).reshape(6, 3)
    constant = torch.zeros(6, dtype=torch.float64)
    quadratic = Quadratic(gram)
    if kind == "smooth":
        return quadratic.given(linear=linear, constant=constant), torch.linalg.solve(gram, linear.T).T
    if kind == "kink":
        energy = (quadratic + L1(Real(3), 0.5).double()).given(linear=linear, constant=constant)
        z = torch.zeros_like(linear)
        for _ in range(2000):
            z = torch.nn.functional.softshrink(z - 0.4 * (z @ gram - linear), 0.4 * 0.5)
        return energy, z
    chain = Function(lambda s: -0.8 * (s[:, 1:] * s[:, :-1]).sum(1) - 0.3 * s.sum(1), s=Binary(4))
    every = Binary(4).enumerate().double()
    return chain, (torch.softmax(-chain(s=every), 0)[:, None] * every).sum(0).expand(6, 4)


def _field() -> Tensor:
    """Unary energies of six small images of labels."""
    return torch.linspace(-1, 2, 72, dtype=torch.float64).reshape(6, 2, 3, 2).sin()


def _beliefs(solver: Solver, unary: Tensor) -> Energy:
    pairs = torch.tensor([[0.0, 0.4], [0.3, -0.1]], dtype=torch.float64).expand(2, 1, 1, 2, 2)
    relaxed = solver.relax(RandomField(unary, pairs), FreeEnergy())
    if relaxed is None:
        raise ContractError(f'{type(solver).__name__}: tried on "field", it says in `relax` what it looks over.')
    return relaxed


def _check_state(solver: Solver, energy: Energy, start: Tensor, who: str) -> None:
    before = start.clone()
    with torch.no_grad():
        state = solver.init(energy, start, torch.Generator().manual_seed(0))
        require(isinstance(state, tuple) and hasattr(state, "_fields"), who, "a state is a NamedTuple")
        require(state[0].shape == start.shape, who, "the first field of a state is the value")
        state, info = solver.step(energy, state)
    for name, part in zip(state._fields, state, strict=True):
        if isinstance(part, Tensor):
            require(
                part.shape[:1] == (6,),
                who,
                f"tensors of a state lead with the batch, but {name} is {tuple(part.shape)}",
            )
    require(info.energy.shape == (6,), who, "info has an energy for each sample")
    require(
        (solver.samples or solver.stochastic) == (info.residual is None),
        who,
        "a minimiser has a residual, a sampler or a stochastic solver has none",
    )
    require(state[0].dtype == torch.float64, who, "float64 stays float64")
    require(bool((start == before).all()), who, "the caller's start stays as it was")


def _check_rows(solver: Solver, energy: Energy, start: Tensor, who: str) -> None:
    def run(value: Tensor) -> Tensor:
        return solve(solver, energy, value, steps=20, tol=0.0, generator=torch.Generator().manual_seed(3)).value

    first = run(start)
    require(bool((run(start) == first).all()), who, "the same generator gives the same answer")
    other = start.clone()
    other[0] = 1 - other[0]
    close(run(other)[1:], first[1:], who, "rows never influence each other", 1e-10)


def _check_minimum(solver: Solver, energy: Energy, start: Tensor, lowest: Tensor, who: str) -> None:
    found = solve(solver, energy, start, steps=2000, tol=1e-8)
    require(bool(found.converged.all()), who, f"says that it has converged (residual {found.info.get('residual')})")
    close(found.value, lowest, who, "finds the lowest point of a convex energy", 1e-5)
    close(found.energy, energy.value(found.value), who, "reports the energy where it stopped", 1e-10)
    alone = torch.cat([start[:1] + 10, lowest[1:]])
    close(
        solve(solver, energy, alone, steps=2000, tol=1e-8).value,
        lowest,
        who,
        "goes on with the samples that have not converged when others have",
        1e-5,
    )
    short = solve(solver, energy, start, steps=0)
    require(not bool(short.converged.any()), who, "does not claim to have converged without looking")
    if "unroll" not in solver.exempt:
        _check_unroll(solver, lowest, who)


def _check_near(solver: Solver, energy: Energy, start: Tensor, lowest: Tensor | None, who: str) -> None:
    generator = torch.Generator().manual_seed(4)
    found = solve(solver, energy, start, steps=60, generator=generator)
    require(not bool(found.converged.any()), who, "never claims to have converged")
    close(found.energy, energy.value(found.value), who, "reports the energy where it stopped", 1e-10)
    if lowest is None:
        raise ContractError(f'{who}: stochastic solvers are tried on "smooth" or "kink", got {solver.tried_on!r}.')
    before, bottom = energy.value(start), energy.value(lowest)
    left = (found.energy - bottom) / (before - bottom)
    require(bool((left < 0.02).all()), who, f"goes down by 98 % of the way to the lowest point (left: {left.tolist()})")


def _check_beliefs(solver: Solver, energy: Energy, start: Tensor, who: str) -> None:
    found = solve(solver, energy, start, steps=2000, tol=1e-10)
    require(bool(found.converged.all()), who, f"says that it has converged (residual {found.info.get('residual')})")
    energies, slope = energy.value_and_gradient(found.value)
    close(found.energy, energies, who, "reports the free energy where it stopped", 1e-10)
    close(slope, torch.zeros_like(slope), who, "finds a stationary point of the free energy", 1e-8)
    short = solve(solver, energy, start, steps=0)
    require(not bool(short.converged.any()), who, "does not claim to have converged without looking")

    def answer(unary: Tensor) -> Tensor:
        return (
            solve(solver, _beliefs(solver, unary), torch.zeros_like(start), steps=40, unroll=True).value.square().sum()
        )

    unary, small = _field().requires_grad_(), 1e-6
    way = torch.randn(unary.shape, generator=torch.Generator().manual_seed(7), dtype=unary.dtype)
    got = (torch.autograd.grad(answer(unary), unary)[0] * way).sum()
    with torch.no_grad():
        wanted = (answer(unary + small * way) - answer(unary - small * way)) / (2 * small)
    close(got, wanted, who, "gradients flow through unrolled steps", 1e-3)


def _check_decoder(solver: Solver, who: str) -> None:
    network = Bigram(3).double()
    with torch.no_grad():
        network.table.copy_(torch.linspace(-3, 2, 16, dtype=torch.float64).reshape(4, 4).sin() * 3)
    energy = Autoregressive(network, Sequence(3, 5), Real(4))
    x = torch.linspace(-2, 2, 24, dtype=torch.float64).reshape(6, 4).cos()

    def found(rows: Tensor) -> Solution:
        return solve(solver, energy.given(x=rows), generator=torch.Generator().manual_seed(3))

    answer = found(x)
    energy.spaces["y"].check(answer.value)
    close(answer.energy, energy.given(x=x).value(answer.value), who, "reports the energy of what it found", 1e-10)
    require(bool((found(x).value == answer.value).all()), who, "the same generator gives the same answer")
    if solver.samples:
        require(not bool(answer.converged.any()), who, "a sampler never claims to have converged")
        return
    require(bool(answer.converged.all()), who, f"says that it has converged (residual {answer.info.get('residual')})")
    other = torch.cat([-x[:1], x[1:]])
    require(
        bool((found(other).value[..., 1:, :] == answer.value[..., 1:, :]).all()), who, "rows never influence each other"
    )


def _check_unroll(solver: Solver, lowest: Tensor, who: str) -> None:
    gram = torch.diag(torch.tensor([2.0, 1.0, 1.5], dtype=torch.float64))

    def answer(linear: Tensor) -> Tensor:
        energy = Quadratic(gram).given(linear=linear, constant=linear.new_zeros(6))
        return solve(solver, energy, torch.zeros_like(linear), steps=60, unroll=True).value

    linear = torch.linspace(-2, 2, 18, dtype=torch.float64).reshape(6, 3).requires_grad_()
    got = torch.autograd.grad(answer(linear).sum(), linear)[0]
    wanted = torch.linalg.solve(gram, torch.ones(3, dtype=torch.float64)).expand(6, 3)
    close(got, wanted, who, "gradients flow through unrolled steps", 1e-3)


def _check_samples(solver: Solver, energy: Energy, who: str) -> None:
    wanted = _problem(solver.tried_on)[1]
    chains = 400

    def many(build: Callable[[], Energy]) -> Tensor:
        start = wanted.repeat(chains, 1) if solver.tried_on != "bits" else wanted.repeat(chains, 1).round()
        big = build()
        draws = solve(solver, big, start, steps=200, record=10, generator=torch.Generator().manual_seed(5))
        require(not bool(draws.converged.any()), who, "a sampler never claims to have converged")
        return draws.info["trajectory"][10:].flatten(0, 1).reshape(-1, *wanted.shape)

    if solver.tried_on == "bits":
        draws = many(lambda: energy)
        close(draws.mean(0), wanted, who, "the draws have the mean of exp(−βE)", 0.06)
        return
    if not isinstance(energy, Conditioned) or (form := energy.quadratic_form()) is None:
        raise ContractError(f'{who}: samplers are tried on "smooth" or "bits", got {solver.tried_on!r}.')
    quadratic, linear = energy.energy, form.linear
    draws = many(lambda: quadratic.given(linear=linear.repeat(chains, 1), constant=linear.new_zeros(6 * chains)))
    close(draws.mean(0), wanted, who, "the draws have the mean of exp(−βE)", 0.12)
    centred = draws - draws.mean(0)
    covariance = (centred.transpose(0, 1).transpose(1, 2) @ centred.transpose(0, 1)).mean(0) / len(draws)
    close(covariance, torch.linalg.inv(form.gram), who, "the draws have the covariance of exp(−βE)", 0.12)
