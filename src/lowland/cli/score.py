"""``lowland score RUN INPUT...``: the energy of each input; high is surprising."""

from __future__ import annotations

import json

from . import inputs
from .options import Parser, add_device


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser("score", "The energy of each input, with everything else eliminated: high is surprising.")
    inputs.add_inputs(parser, "+")
    add_device(parser)
    options = parser.parse_args(arguments)
    from ..train import load

    model = load(options.run)
    values, names = inputs.read(model, options.inputs, options.invert)
    values = {
        name: value.to(options.device) for name, value in {**values, **inputs.given(model, options.given)}.items()
    }
    model.module.to(options.device)
    energies = model.score(**values).tolist()
    if options.json:
        print(
            json.dumps(
                [{"input": name, "energy": energy} for name, energy in zip(names, energies, strict=True)],
                ensure_ascii=False,
            )
        )
        return 0
    for name, energy in zip(names, energies, strict=True):
        print(f"{energy:.6g}\t{name}")
    return 0
