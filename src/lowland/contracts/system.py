"""What every system promises."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import Energy
from ..system import System
from .failure import require


def check_system(system: System, trainer: Any) -> None:
    """Hold a system to its contract by running its ``smoke`` preset from data to pictures.

    It has a smoke preset and field documentation; what it builds are energies; data names the variables; training moves every
    parameter that asks for gradients; the figures are those it declared, all finite; there are pictures; weights make the round trip.

    Args:
        system: The record.
        trainer: A `lowland.train.Trainer` (this layer lies below training, so the caller brings it).

    Raises:
        ContractError: For the first promise that is broken.
    """
    who = system.name
    require("smoke" in system.presets, who, "has a smoke preset")
    require(dataclasses.is_dataclass(system.config), who, "its configuration is a dataclass")
    require(bool(system.rows and system.title and system.paper), who, "says its rows, title and paper")
    config = system.settled(system.configure("smoke"))
    torch.manual_seed(0)
    model = system.build(config)
    energies = model.values() if isinstance(model, nn.ModuleDict) else [model]
    require(
        all(isinstance(energy, Energy) for energy in energies), who, "builds an energy, or a ModuleDict of energies"
    )
    if isinstance(model, nn.ModuleDict):
        require(
            system.main is not None and system.main in model,
            who,
            f"says which of its energies is the main one ({', '.join(model)}), got {system.main}",
        )
    data = system.data(config)
    require(len(data.train) > 0 and bool(data.sources), who, "has training data and says where it comes from")
    before = {
        name: parameter.detach().clone() for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    system.train(model, config, data, trainer)
    model.eval()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name in before:
            require(
                not bool((parameter == before[name]).all()),
                who,
                f"training moves {name}, or it does not ask for gradients",
            )
    with torch.no_grad():  # as a run does
        figures = system.evaluate(model, config, data)
        pictures = list(system.figures(model, config, data))
    declared = {metric.name for metric in system.metrics}
    require(set(figures) == declared, who, f"reports the figures it declares: {sorted(set(figures) ^ declared)} differ")
    require(
        all(math.isfinite(value) for value in figures.values()), who, f"reports finite figures, got {dict(figures)}"
    )
    require(
        bool(pictures) and all(picture.title and picture.caption for picture in pictures),
        who,
        "draws pictures with titles and captions",
    )
    fresh = system.build(config)
    fresh.load_state_dict(
        {name: tensor.clone() for name, tensor in model.state_dict().items() if isinstance(tensor, Tensor)}
    )
