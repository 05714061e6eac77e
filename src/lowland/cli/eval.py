"""``lowland eval RUN``: the figures again, from the stored model."""

from __future__ import annotations

import json

from . import show
from .options import Parser, add_device


def run(arguments: list[str]) -> int:
    """The verb."""
    parser = Parser("eval", "The figures of a run again, from its stored model and the data.")
    parser.add_argument("run", metavar="RUN", help="the folder of a run")
    parser.add_argument("--data", metavar="FOLDER", help="folder of data sets, <data set>/<file>, searched first")
    add_device(parser)
    options = parser.parse_args(arguments)
    import torch

    from ..train import load
    from ..train.execution import data_folder, evaluate, placed
    from ..train.run import figures, read_config

    values = read_config(options.run)
    model = load(options.run, options.device)
    with data_folder(options.data or values.get("data")):
        data = placed(model.system.data(model.config), torch.device(options.device))
        measured = evaluate(model.system, model.config, model.module, data, values["seed"])
    metrics = figures(model.system, values["preset"], measured)
    print(
        json.dumps({"run": options.run, "metrics": metrics}, ensure_ascii=False)
        if options.json
        else show.figures(metrics)
    )
    return 0
