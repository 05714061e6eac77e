"""A trained model, from its run folder: ask it for energies, answers, surprise and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..energy import Energy
from ..errors import UsageError
from ..inference import Solution, infer
from ..spaces import Binary
from ..system import System, find
from . import checkpoint


class Model:
    """A system's trained energies.

    Attributes:
        system: What was trained.
        config: With which configuration.
        module: What `System.build` gave, with the run's weights.
        energies: Its energies by name; one that has no name is called after the system.
        energy: The one that answers.
        labels: What the values of its finite variable are called, if they have names.
    """

    def __init__(self, system: System, config: Any, module: nn.Module, labels: Sequence[str] = ()) -> None:
        self.system, self.config, self.module, self.labels = system, config, module.eval(), tuple(labels)
        named: dict[str, nn.Module] = (
            {system.name: module} if isinstance(module, Energy) else dict(module.named_children())
        )
        self.energies: dict[str, Energy] = {name: part for name, part in named.items() if isinstance(part, Energy)}
        self.energy = self._main(named)

    def infer(self, unknown: str | None = None, **known: Any) -> Solution:
        """The value of ``unknown`` (the system's own by default) at which the energy is low; variables that are neither
        asked for nor known are eliminated.

        Args:
            unknown: Which variable; it may be given as a `lowland.Partial`, known in places.
            **known: The other variables, ``(*B, *event)`` each; `infer`'s options (``solver=``, ``options=``) pass through.

        Raises:
            VariableError: If the energy has no such variable.
        """
        unknown = unknown or self.system.unknown
        if unknown is None:
            raise UsageError(f"{self.system.name}: nothing is unknown by default; name the variable to infer.")
        options = {name: known.pop(name) for name in ("solver", "reduction", "init", "options") if name in known}
        if self.system.solver is not None and unknown == self.system.unknown:
            options.setdefault("solver", self.system.solver(self.module, self.config))
        return infer(self._left(self.energy, {unknown, *known}), unknown, **options, **known)

    def score(self, **values: Any) -> Tensor:
        """How surprising each sample is: ``(*B)``, the energy with everything that is not given eliminated.

        A finite variable is summed out (its free energy), any other one minimised out.
        """
        self.energy.known(values)
        energy = self._left(self.energy, set(values))
        with torch.no_grad():
            return energy(**values)

    def embed(self, **values: Any) -> Tensor:
        """A vector for each sample: ``(N, D)``.

        Raises:
            UsageError: If the system has no vectors.
        """
        if self.system.embed is None:
            raise UsageError(f"{self.system.name} has no vectors to give: its System declares no `embed`.")
        with torch.no_grad():
            return self.system.embed(self.energy, values)

    def _left(self, energy: Energy, names: set[str]) -> Energy:
        """The energy of these variables alone."""
        for name in energy.spaces.keys() - names:
            space = energy.spaces[name]
            summed = space.size is not None or isinstance(
                space, Binary
            )  # bits too many to list: in closed form or not at all
            energy = energy.marginalize(name) if summed else energy.minimize(name)
        return energy

    def _main(self, named: dict[str, nn.Module]) -> Energy:
        name = self.system.main or (next(iter(self.energies)) if len(self.energies) == 1 else None)
        if name is None or name not in self.energies:
            raise UsageError(
                f"{self.system.name}: main={self.system.main!r} names no energy; it has {', '.join(self.energies) or 'none'} "
                f"among {', '.join(named) or 'no modules'}."
            )
        return self.energies[name]


def load(folder: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a run folder. Nothing is unpickled and the training code is not run.

    Args:
        folder: What `lowland train` made.
        device: Where its weights go.

    Raises:
        CheckpointError: If the folder is no run, or its weights are missing, damaged or another model's.
    """
    from .run import WEIGHTS, read_config, read_result, restore_config

    values = read_config(folder)
    system = find(values["system"])
    config = restore_config(system, values["config"])
    with torch.random.fork_rng(devices=[]):
        module = system.build(config)
    path = Path(folder) / WEIGHTS
    labels = read_result(folder).get("labels", ())  # also says so if the run has not ended
    checkpoint.load_into(module, checkpoint.read(path), str(path))
    return Model(system, config, module.to(device), labels)
