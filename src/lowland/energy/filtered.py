"""A film that is followed: each frame is drawn from a state that nobody sees, and the state goes on from what it was.

    E(y, z) = Σ_t ½‖y_t − g(z_t, y_<t)‖² / σ² − log p(z_t | z_<t, y_<t)
    F(y)    = min_z E(y, z)                  how surprising the film is, in nats; a filter finds z, frame by frame

What is drawn at z_t accounts for what is seen, so that a thing that is a little off its way costs what that is worth in nats of z,
however large and bright it is. What can't be drawn at all costs what is left over. With z found and held fixed, lowering E lowers F
(envelope theorem).

Sources: Kalman, J. Basic Engineering 82 (1960), for filters; Smith et al., Modeling Expectation Violation in Intuitive Physics with Coarse
Probabilistic Object Representations, NeurIPS 2019, for surprise as what a filter finds improbable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import SpaceError
from ..spaces import Real, Space
from .energy import Energy


class Followed(NamedTuple):
    """What a network makes of a film whose states are known."""

    answer: Tensor  # (N, T, *frame), what is drawn
    nats: Tensor  # (N, T), −log p of each state, given those before it, up to a constant; 0 where nothing is said of it


class Follower(nn.Module):
    """A network that follows films; its author writes `forward` and `find`."""

    def forward(self, y: Float[Tensor, "N T ..."], z: Float[Tensor, "N T ..."]) -> Followed:
        """What films look like whose states are z; the part at t sees frames before t and states up to t alone."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it draws: write `forward(self, y, z)`.")

    def find(self, y: Float[Tensor, "N T ..."]) -> Float[Tensor, "N T ..."]:
        """States of low energy, each found without what comes later."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it follows: write `find(self, y)`.")


class Filtered(Energy):
    """How badly a film and its states agree, plus how improbable these are. Units: nats, up to what is the same for all y and z.

    Args:
        network: Draws g and says how improbable a state is, and finds states.
        y: Space of the film, ``(T, *frame)``.
        z: Space of its states, ``(T, *state)``.
        noise: σ > 0, how far off what is drawn usually is, in units of y.

    Raises:
        SpaceError: If the noise is not positive.
    """

    def __init__(self, network: Follower, y: Space, z: Space, noise: float = 1.0) -> None:
        if not noise > 0:
            raise SpaceError(f"Filtered: wanted noise > 0, got {noise}.")
        super().__init__(y=y, z=z)
        self.network: Follower = network
        self.noise = noise

    @classmethod
    def example(cls) -> Filtered:
        return cls(Drift(2), Real(4, 2), Real(4, 2), 0.5)

    def energies(self, y: Tensor, z: Tensor) -> Tensor:
        return self.surprise(y, z).sum(1)

    def surprise(self, y: Float[Tensor, "N T ..."], z: Tensor | None = None) -> Float[Tensor, "N T"]:
        """The part of the energy that is each frame's: when it is not what was expected; without z the filter finds it."""
        answer, nats = self.network(y, self.find(y) if z is None else z)
        return 0.5 * ((y - answer) / self.noise).square().flatten(2).sum(2) + nats

    @torch.no_grad()
    def find(self, y: Float[Tensor, "N T ..."]) -> Float[Tensor, "N T ..."]:
        """The states of a film, each found when its frame is seen."""
        return self.network.find(y)


class Drift(Follower):
    """What is seen is the state, and the state drifts: z_t = z_{t−1} + v + noise of variance 1. The smallest thing to follow.

    Args:
        dim: Numbers of a state.

    Attributes:
        v: ``(dim,)``, how far it goes in a frame; from 0.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.zeros(dim))

    def forward(self, y: Float[Tensor, "N T D"], z: Float[Tensor, "N T D"]) -> Followed:
        steps = z[:, 1:] - z[:, :-1] - self.v
        return Followed(z, nn.functional.pad(0.5 * steps.square().sum(2), (1, 0)))

    def find(self, y: Float[Tensor, "N T D"]) -> Float[Tensor, "N T D"]:
        found = [y[:, 0]]
        for seen in y[:, 1:].unbind(1):
            expected = found[-1] + self.v
            found.append(expected + 0.5 * (seen - expected))
        return torch.stack(found, 1)
