"""An energy that is a table: one number for each combination of finite variables, for each sample.

    E(y, z) = costs[y, z]

What an energy of finite variables becomes once everything else is known and its work is done.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import SpaceError
from ..spaces import Categorical
from .energy import Energy, broadcast_shapes


class Tabulated(Energy):
    """Energies looked up in a table.

    Args:
        costs: ``(*B, K₁, K₂, …)``, the last dimensions in the order of the variables.
        **choices: The variables, ``Categorical(K₁)``, ….

    Raises:
        SpaceError: If the last dimensions are not K₁, K₂, ….
    """

    costs: Tensor

    def __init__(self, costs: Tensor, **choices: Categorical) -> None:
        super().__init__(**choices)
        wanted = tuple(space.size for space in choices.values())
        if tuple(costs.shape[costs.ndim - len(wanted) :]) != wanted:
            raise SpaceError(f"Tabulated: wanted costs (*B, {', '.join(map(str, wanted))}), got {tuple(costs.shape)}.")
        self.register_buffer("costs", costs, persistent=False)

    @classmethod
    def example(cls) -> Tabulated:
        """A small one, for the conformance checks."""
        return cls(torch.arange(6.0).reshape(2, 3).cos(), y=Categorical(2), z=Categorical(3))

    def forward(self, **values: Tensor) -> Tensor:
        return self.table(**values)

    def table(self, *names: str, **rest: Tensor) -> Tensor:
        if {*names, *rest} != self.spaces.keys():
            raise self._wrong_names({*names, *rest})
        order = list(self.spaces)
        batches = {name: self.spaces[name].batch_shape(value, name) for name, value in rest.items()}
        batch = broadcast_shapes({"what is given": self.batch_shape, **batches})
        ahead = len(batch)
        costs = self.costs.expand(*batch, *(self.spaces[name].size or 0 for name in order))
        costs = costs.permute(*range(ahead), *(ahead + order.index(name) for name in (*names, *rest)))
        if not rest:
            return costs
        place = torch.zeros((), dtype=torch.int64, device=costs.device)
        for name, value in rest.items():
            place = place * (self.spaces[name].size or 0) + value
        columns = costs.flatten(ahead + len(names))
        place = place.expand(batch).reshape(*batch, *[1] * len(names), 1).expand(*columns.shape[:-1], 1)
        return columns.gather(-1, place).squeeze(-1)

    def given(self, **observed: Tensor) -> Energy:
        self.known(observed)
        left = {name: space for name, space in self.spaces.items() if name not in observed}
        return Tabulated(self.table(*left, **observed), **left) if observed else self  # type: ignore[arg-type]

    @property
    def batch_shape(self) -> torch.Size:
        return self.costs.shape[: self.costs.ndim - len(self.spaces)]

    @property
    def reference(self) -> Tensor | None:
        return self.costs

    def select(self, rows: Tensor) -> Energy:
        return Tabulated(self.costs[rows], **self.spaces) if self.batch_shape else self  # type: ignore[arg-type]
