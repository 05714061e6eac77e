"""``lowland embed RUN INPUT...``: a vector for each input."""

from __future__ import annotations

import json
from pathlib import Path

from . import inputs
from .options import Parser, add_device


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser("embed", "A vector for each input, as text, JSON or a .npy file.")
    inputs.add_inputs(parser, "+")
    parser.add_argument("--out", metavar="FILE", help="write an array (N, D) to this .npy file")
    add_device(parser)
    options = parser.parse_args(arguments)
    import numpy as np

    from ..train import load
    from ..train.files import replace

    model = load(options.run)
    values, names = inputs.read(model, options.inputs, options.invert)
    model.module.to(options.device)
    vectors = model.embed(**{name: value.to(options.device) for name, value in values.items()}).cpu().numpy()
    if options.out is not None:
        replace(Path(options.out), lambda path: path.write_bytes(_npy(vectors)))
        shape = vectors.shape
        said = json.dumps({"out": options.out, "shape": shape})
        print(said if options.json else f"{options.out}: {shape[0]} vectors of {shape[1]} numbers")
        return 0
    if options.json:
        print(
            json.dumps(
                [{"input": name, "vector": vector} for name, vector in zip(names, vectors.tolist(), strict=True)],
                ensure_ascii=False,
            )
        )
        return 0
    for name, vector in zip(names, np.asarray(vectors), strict=True):
        print(name + "\t" + " ".join(f"{number:.6g}" for number in vector))
    return 0


def _npy(array: object) -> bytes:
    import io

    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=False)
    return stream.getvalue()
