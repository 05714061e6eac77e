"""How far is a code from the one that an encoder guesses?

    E(y, z) = ½ ‖z − encoder(y)‖²

Source: Kavukcuoglu, Ranzato & LeCun, Fast Inference in Sparse Coding Algorithms, technical report CBLL-TR-2008-12-01, eq. 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..spaces import Real, Space
from .energy import Energy, QuadraticForm


class Prediction(Energy):
    """½‖z − encoder(y)‖² ≥ 0, and 0 exactly at the guess. Units: those of z, squared.

    Args:
        encoder: Maps ``(*B, *observation)`` to ``(*B, *code)``.
        y: Space of the observation.
        z: Space of the code.
    """

    @classmethod
    def example(cls) -> Prediction:
        return cls(nn.Sequential(nn.Linear(5, 3), nn.Tanh()), Real(5), Real(3))

    def __init__(self, encoder: nn.Module, y: Space, z: Space) -> None:
        super().__init__(y=y, z=z)
        self.encoder = encoder

    def energies(self, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * (z - self.encoder(y)).flatten(1).square().sum(-1)

    def given(self, **observed: Any) -> Energy:
        """With y known the encoder is asked once, and what is left is a bowl around its guess."""
        if observed.keys() == {"y"} and isinstance(observed["y"], Tensor):
            batch = self.spaces["y"].batch_shape(observed["y"], "y")
            guess = self.encoder(observed["y"].reshape(-1, *self.spaces["y"].shape))
            return Bowl(self.spaces["z"]).given(centre=guess.reshape(*batch, *self.spaces["z"].shape))
        return super().given(**observed)


class Bowl(Energy):
    """½‖z − centre‖²: lowest at a point that is a variable of its own. Units: those of z, squared.

    Args:
        space: What ``z`` and ``centre`` range over.
    """

    broadcasts = True

    @classmethod
    def example(cls) -> Bowl:
        return cls(Real(2, 3))

    def __init__(self, space: Space) -> None:
        super().__init__(z=space, centre=Real(*space.shape))
        self.axes = tuple(range(-len(space.shape), 0))

    def energies(self, z: Tensor, centre: Tensor) -> Tensor:
        square = (z - centre).square()
        return 0.5 * (square.sum(self.axes) if self.axes else square)

    def value_and_gradient(self, value: Tensor, name: str | None = None, **rest: Any) -> tuple[Tensor, Tensor]:
        if name not in (None, "z"):
            return super().value_and_gradient(value, name, **rest)
        return self.energies(value, rest["centre"]), value - rest["centre"]

    def quadratic_form(self, name: str | None = None, **rest: Any) -> QuadraticForm | None:
        if name not in (None, "z") or rest.keys() != {"centre"}:
            return None
        centre = rest["centre"].flatten(-len(self.axes)) if self.axes else rest["centre"].unsqueeze(-1)
        gram = torch.eye(centre.shape[-1], dtype=centre.dtype, device=centre.device)
        return QuadraticForm(gram, centre, 0.5 * centre.square().sum(-1))
