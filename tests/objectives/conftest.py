"""A small Boltzmann machine whose every configuration can be listed: the oracle of the un-normalised estimators."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lowland.energy import Energy
from lowland.spaces import Binary

BITS = 4


class Boltzmann(Energy):
    """−½ xᵀJx − bᵀx over four bits, J symmetric without a diagonal; flat, to begin with."""

    def __init__(self) -> None:
        super().__init__(x=Binary(BITS))
        self.couplings = nn.Parameter(torch.zeros(6))
        self.biases = nn.Parameter(torch.zeros(BITS))

    def energies(self, x: Tensor) -> Tensor:
        i, j = torch.triu_indices(BITS, BITS, 1)
        return -(x[:, i] * x[:, j]) @ self.couplings - x @ self.biases

    def population(self, count: int) -> Tensor:
        """So many configurations, each as often as the energy says, but for rounding."""
        every = self.spaces["x"].enumerate()
        often = ((-self(x=every)).softmax(0) * count).round().long()
        return every.repeat_interleave(often, 0)

    def difference(self, other: Energy) -> float:
        """The largest difference from another energy of the same bits, but for a constant."""
        every = self.spaces["x"].enumerate()
        with torch.no_grad():
            gap = self(x=every) - other(x=every)
        return (gap - gap.mean()).abs().max().item()


@pytest.fixture
def boltzmann() -> type[Boltzmann]:
    return Boltzmann


@pytest.fixture
def truth() -> Boltzmann:
    """The energy that data are drawn from."""
    energy = Boltzmann()
    energy.couplings.data = torch.tensor([1.0, -0.8, 0.3, 0.0, 0.9, -1.1])
    energy.biases.data = torch.tensor([0.2, -0.5, 0.4, 0.1])
    return energy


@pytest.fixture
def lowest() -> Callable[..., Energy]:
    """``lowest(objective, energy, batch)``: the energy where the objective is lowest, its random numbers held fixed."""

    def lowest(objective: Any, energy: Energy, batch: Mapping[str, Tensor]) -> Energy:
        optimizer = torch.optim.LBFGS(energy.parameters(), max_iter=200, line_search_fn="strong_wolfe")
        seed = torch.initial_seed()

        def loss() -> Tensor:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            value = objective(energy, batch).value
            value.backward()
            return value

        optimizer.step(loss)
        return energy

    return lowest
