"""Chains and alignments: free energy, marginals and best path beside torch-struct, hmmlearn, pomegranate and dynamax; the loss of
connectionist temporal classification beside torch's own kernel."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .timing import interleaved

STATES, BATCH, LENGTH, REPEATS = 32, 64, 200, 20
CLASSES, LABELS = 32, 30
#: Largest difference of energies, relative to the largest, or of chances, that counts as the same.
SAME = 1e-4


class Model(NamedTuple):
    """A hidden Markov model and what it has seen, as energies: minus the logarithms of its probabilities."""

    initial: Tensor  # (K,)
    transition: Tensor  # (K, K)
    unary: Tensor  # (N, T, K)


class Target(NamedTuple):
    """How much faster than a peer; of the peer's time over ours."""

    times: float
    said: str


FREE_ENERGY = {
    "dynamax": Target(1 / 3, "≥ 0.33"),
    "pomegranate": Target(2, "≥ 2"),
    "torch-struct": Target(300, "≥ 300"),
}
MARGINALS = {
    "dynamax": Target(1 / 3, "≥ 0.33"),
    "pomegranate": Target(10, "≥ 10"),
    "torch-struct": Target(300, "≥ 300"),
}
BEST_PATH = {"hmmlearn": Target(2, "≥ 2"), "torch-struct": Target(300, "≥ 300")}
ALIGNMENTS = {"F.ctc_loss": Target(1 / 1.5, "≥ 0.67")}


def run() -> list[dict[str, Any]]:
    """A line for each peer; ``ratio`` is the peer's time over ours."""
    warnings.simplefilter("ignore")  # peers use what torch, numpy and jax have deprecated
    generator = torch.Generator().manual_seed(0)
    model = Model(
        -torch.randn(STATES, generator=generator).log_softmax(0),
        -torch.randn(STATES, STATES, generator=generator).log_softmax(1),
        torch.randn(BATCH, LENGTH, STATES, generator=generator),
    )
    peers = [
        ("hmmlearn", hmmlearn),
        ("pomegranate", pomegranate),
        ("dynamax", dynamax),
        ("torch_struct", torch_struct),
    ]
    asked: dict[str, dict[str, Callable[[], Any]]] = {"free energy": {}, "marginals": {}, "best path": {}}
    for name, make in [("lowland", ours), ("plain torch", plain), *peers]:
        if (name, make) not in peers or find_spec(name):
            for what, contender in make(model).items():
                asked[what][name.replace("_", "-")] = contender
    about = f"chain, K = {STATES}, N = {BATCH}, T = {LENGTH}"
    lines = compared(f"free energy, {about}", asked["free energy"], FREE_ENERGY, energies_apart)
    lines += compared(f"free energy and all marginals, {about}", asked["marginals"], MARGINALS, marginals_apart)
    lines += compared(f"best path, {about}", asked["best path"], BEST_PATH, energies_apart)
    frames = torch.randn(BATCH, LENGTH, CLASSES, generator=generator)
    labels = torch.randint(CLASSES - 1, (BATCH, LABELS), generator=generator)
    about = f"alignments, N = {BATCH}, T = {LENGTH}, C = {CLASSES}, L = {LABELS}"
    return lines + compared(f"loss and gradient, {about}", alignments(frames, labels), ALIGNMENTS, marginals_apart)


def compared(
    what: str,
    contenders: Mapping[str, Callable[[], Any]],
    targets: Mapping[str, Target],
    apart: Callable[[Any, Any], float],
) -> list[dict[str, Any]]:
    """A line for each contender but the first, which is ours."""
    quick = {name: contender for name, contender in contenders.items() if name != "torch-struct"}
    times, found = interleaved(quick, REPEATS)
    if len(quick) < len(contenders):  # seconds each time
        slow, other = interleaved({"torch-struct": contenders["torch-struct"]}, 1)
        times, found = times | slow, found | other
    lines = []
    for peer in list(contenders)[1:]:
        ratio, target = times[peer] / times["lowland"], targets.get(peer)
        difference = apart(found["lowland"], found[peer])
        lines.append(
            {
                "name": what,
                "ours": f"{1e3 * times['lowland']:.2f} ms",
                "peer": f"{peer} {1e3 * times[peer]:.2f} ms",
                "value": f"{difference:.0e} apart (wanted ≤ {SAME:.0e})",
                "ratio": ratio,
                "target": target and target.said,
                "met": target and ratio >= target.times and difference <= SAME,
                "note": "",
            }
        )
    return lines


def energies_apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest energy."""
    return float((one.double() - other.double()).abs().max() / one.double().abs().max())


def marginals_apart(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    """The same for energies, or the largest difference of chances."""
    return max(energies_apart(one[0], other[0]), float((one[1].double() - other[1].double()).abs().max()))


def ours(model: Model) -> dict[str, Callable[[], Any]]:
    """`lowland.energy.Chain`: its free energy, its gradient and the lowest path."""
    from lowland.energy import Chain, Min

    energy = Chain(LENGTH, STATES)
    with torch.no_grad():
        energy.initial.copy_(model.initial)
        energy.transition.copy_(model.transition)
    length, free = torch.full((BATCH,), LENGTH), energy.marginalize("y")

    def forward() -> Tensor:
        with torch.no_grad():
            return free(x=model.unary, length=length)

    def marginals() -> tuple[Tensor, Tensor]:
        x = model.unary.detach().requires_grad_()
        reduced = free(x=x, length=length)
        states, *_ = torch.autograd.grad(reduced.sum(), (x, energy.transition, energy.initial))
        return reduced.detach(), states

    def best() -> Tensor:
        paths, batch = energy.structure("y", x=model.unary, length=length)
        return paths.read(Min())[1].reshape(batch)

    return {"free energy": forward, "marginals": marginals, "best path": best}


def plain(model: Model) -> dict[str, Callable[[], Any]]:
    """What one writes in torch: a matrix product, a product, a sum and a quotient for each step."""

    def forward() -> Tensor:
        weights, step = (-model.unary).exp().transpose(0, 1), (-model.transition).exp()
        share, logarithm = (-model.initial).exp() * weights[0], torch.zeros(BATCH)
        for t in range(1, LENGTH):
            share = (share @ step) * weights[t]
            total = share.sum(1, keepdim=True)
            share, logarithm = share / total, logarithm + total[:, 0].log()
        return -logarithm - share.sum(1).log()

    return {"free energy": forward}


def hmmlearn(model: Model) -> dict[str, Callable[[], Any]]:
    """``score_samples`` and ``decode`` of a model that is given the log-likelihoods; double precision."""
    from hmmlearn.base import BaseHMM

    class Given(BaseHMM):
        def _compute_log_likelihood(self, X: Any) -> Any:
            return X

        def _compute_likelihood(self, X: Any) -> Any:
            import numpy

            return numpy.exp(X)

        def _check(self) -> None: ...

    seen = -model.unary.double().numpy()

    def made(implementation: str) -> Given:
        given = Given(STATES, implementation=implementation)
        given.n_features = STATES
        given.startprob_ = (-model.initial.double()).softmax(0).numpy()
        given.transmat_ = (-model.transition.double()).softmax(1).numpy()
        return given

    logarithms, scaled = made("log"), made("scaling")

    def forward() -> Tensor:
        return torch.tensor([-scaled.score(rows) for rows in seen])

    def marginals() -> tuple[Tensor, Tensor]:
        each = [scaled.score_samples(rows) for rows in seen]
        return torch.tensor([-score for score, _ in each]), torch.stack([torch.from_numpy(p) for _, p in each])

    def best() -> Tensor:
        return torch.tensor([-logarithms.decode(rows)[0] for rows in seen])

    return {"free energy": forward, "marginals": marginals, "best path": best}


def pomegranate(model: Model) -> dict[str, Callable[[], Any]]:
    """``DenseHMM``, given the log-likelihoods."""
    threads = torch.get_num_threads()
    from pomegranate.distributions import Normal
    from pomegranate.hmm import DenseHMM

    torch.set_num_threads(threads)  # its import changes them
    states = [Normal([0.0], [1.0], covariance_type="diag") for _ in range(STATES)]
    chances = [(-model.transition).softmax(1), (-model.initial).softmax(0), torch.ones(STATES)]
    given = DenseHMM(states, *chances)
    seen = -model.unary

    def forward() -> Tensor:
        return -given.forward(emissions=seen)[:, -1].logsumexp(1)

    def marginals() -> tuple[Tensor, Tensor]:
        _, states, _, _, score = given.forward_backward(emissions=seen)
        return -score, states.exp()

    return {"free energy": forward, "marginals": marginals}


def dynamax(model: Model) -> dict[str, Callable[[], Any]]:
    """Its filter, smoother and mode, over the batch by ``vmap`` and compiled; compiling is not counted."""
    import jax
    import numpy
    from dynamax.hidden_markov_model import hmm_filter, hmm_posterior_mode, hmm_smoother

    initial, transition, seen = (
        jax.numpy.asarray(numpy.asarray(part))
        for part in ((-model.initial).softmax(0), (-model.transition).softmax(1), -model.unary)
    )

    def filtered(rows: Any) -> Any:
        return hmm_filter(initial, transition, rows).marginal_loglik

    def smoothed(rows: Any) -> Any:
        found = hmm_smoother(initial, transition, rows)  # what is not returned is not computed
        return found.marginal_loglik, found.smoothed_probs

    def mode(rows: Any) -> Any:
        return hmm_posterior_mode(initial, transition, rows)

    compiled = [jax.jit(jax.vmap(function)) for function in (filtered, smoothed, mode)]

    def forward() -> Tensor:
        return -torch.from_numpy(numpy.array(compiled[0](seen)))

    def marginals() -> tuple[Tensor, Tensor]:
        score, states = jax.block_until_ready(compiled[1](seen))
        return -torch.from_numpy(numpy.array(score)), torch.from_numpy(numpy.array(states))

    def best() -> Tensor:
        return along(model, torch.from_numpy(numpy.array(compiled[2](seen))).long())

    return {"free energy": forward, "marginals": marginals, "best path": best}


def torch_struct(model: Model) -> dict[str, Callable[[], Any]]:
    """``LinearChainCRF`` of potentials for each step, which are made beforehand."""
    from torch_struct import LinearChainCRF

    steps = -model.transition.T - model.unary[:, 1:, :, None]
    steps[:, 0] -= (model.initial + model.unary[:, 0])[:, None, :]

    def forward() -> Tensor:
        return -LinearChainCRF(steps).partition

    def marginals() -> tuple[Tensor, Tensor]:
        crf = LinearChainCRF(steps)
        pairs = crf.marginals
        return -crf.partition.detach(), torch.cat([pairs[:, :1].sum(2), pairs.sum(3)], 1)

    def best() -> Tensor:
        return -(LinearChainCRF(steps).argmax * steps).sum((1, 2, 3))

    return {"free energy": forward, "marginals": marginals, "best path": best}


def along(model: Model, path: Tensor) -> Tensor:
    """The energy of paths."""
    states = model.unary.gather(-1, path[..., None]).sum((1, 2))
    return model.initial[path[:, 0]] + model.transition[path[:, :-1], path[:, 1:]].sum(1) + states


def alignments(frames: Tensor, labels: Tensor) -> dict[str, Callable[[], tuple[Tensor, Tensor]]]:
    """`lowland.energy.Alignment` and ``F.ctc_loss``, both after ``log_softmax``: the same values and the same gradients."""
    from lowland.energy import FrameEnergies

    positions = torch.full((BATCH,), LENGTH)
    free = FrameEnergies(CLASSES - 1, LENGTH).marginalize("z")
    padded = torch.nn.functional.pad(labels, (0, LENGTH - LABELS), value=-1)

    def ours() -> tuple[Tensor, Tensor]:
        logits = frames.detach().requires_grad_()
        loss = free(x=-logits.log_softmax(-1), length=positions, y=padded)
        return loss.detach(), torch.autograd.grad(loss.sum(), logits)[0]

    def theirs() -> tuple[Tensor, Tensor]:
        logits = frames.detach().requires_grad_()
        rows = logits.log_softmax(-1).transpose(0, 1)
        loss = torch.nn.functional.ctc_loss(rows, labels + 1, positions, torch.full((BATCH,), LABELS), reduction="none")
        return loss.detach(), torch.autograd.grad(loss.sum(), logits)[0]

    return {"lowland": ours, "F.ctc_loss": theirs}


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
