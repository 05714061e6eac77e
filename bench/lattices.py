"""Check lattices composed with a grammar: the best string of each of a batch, beside a loop over arcs in Python."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor

from .timing import interleaved

BATCH, PIECES, LONGEST, DIGITS = 64, 20, 5, 10
GRAMMAR = "junk* (digit junk*){1,8}"
REPEATS = 10
#: Strings a second that a reader of checks is to compose and search.
WANTED = 300


def run() -> list[dict[str, Any]]:
    """A line for the best strings, and one for the slope of the likelihood of right ones."""
    from lowland import infer
    from lowland.energy import Acceptor, PieceEnergies
    from lowland.objectives import NegativeLogLikelihood

    generator = torch.Generator().manual_seed(0)
    acceptor = Acceptor.of(GRAMMAR, DIGITS + 1, digit=tuple(range(DIGITS)), junk=DIGITS)
    spell = (*range(DIGITS), -1)
    energy = PieceEnergies(acceptor, spell, positions=PIECES, longest=LONGEST, max_length=8)
    x = torch.randn(BATCH, PIECES, LONGEST, DIGITS + 1, generator=generator)
    length = torch.randint(12, PIECES + 1, (BATCH,), generator=generator)
    y = torch.randint(DIGITS, (BATCH, 8), generator=generator)
    y = torch.where(torch.arange(8) < torch.randint(2, 7, (BATCH, 1), generator=generator), y, -1)
    best, likelihood = energy.minimize("z"), NegativeLogLikelihood("y")
    free = energy.marginalize("z")

    def read() -> Tensor:
        return infer(best, "y", x=x, length=length).energy

    def learn() -> Tensor:
        pieces = x.detach().requires_grad_()
        return torch.autograd.grad(likelihood(free, {"x": pieces, "length": length, "y": y}).value, pieces)[0]

    def loop() -> Tensor:
        follow, final = acceptor.next[0].tolist(), acceptor.final[0].tolist()
        rows = zip(x.tolist(), length.tolist(), strict=True)
        return torch.tensor([lowest(follow, final, pieces, end) for pieces, end in rows])

    times, found = interleaved({"ours": read, "a loop": loop}, REPEATS)
    learning, _ = interleaved({"ours": learn}, REPEATS)
    about = f"N = {BATCH}, {PIECES} cuts, pieces of up to {LONGEST}, {DIGITS + 1} labels, {acceptor.states} states"
    apart = float((found["ours"] - found["a loop"]).abs().max())
    strings = BATCH / times["ours"]
    return [
        {
            "name": f"best strings of composed check lattices, {about}",
            "ours": f"{strings:,.0f} strings/s",
            "peer": f"a loop over arcs {BATCH / times['a loop']:,.0f} strings/s",
            "value": f"{apart:.0e} apart (wanted ≤ 1e-04)",
            "ratio": times["a loop"] / times["ours"],
            "target": f"≥ {WANTED} strings/s",
            "met": strings >= WANTED and apart <= 1e-4,
            "note": "",
        },
        {
            "name": f"slope of the likelihood of right strings, {about}",
            "ours": f"{BATCH / learning['ours']:,.0f} strings/s",
            "peer": "",
            "value": "",
            "ratio": None,
            "target": None,
            "met": None,
            "note": "both free energies, forward and backward",
        },
    ]


def lowest(follow: list[list[int]], final: list[bool], pieces: list[Any], length: int) -> float:
    """The lowest energy of a reading, arc by arc."""
    reached = [{0: 0.0}, *({} for _ in range(length))]
    for end in range(1, length + 1):
        for size in range(1, min(LONGEST, end) + 1):
            for state, before in reached[end - size].items():
                for label, cost in enumerate(pieces[end - 1][size - 1]):
                    after = follow[state][label]
                    if after >= 0 and before + cost < reached[end].get(after, float("inf")):
                        reached[end][after] = before + cost
    return min(cost for state, cost in reached[length].items() if final[state])


if __name__ == "__main__":
    for line in run():
        print(json.dumps(line, ensure_ascii=False))
