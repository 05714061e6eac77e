"""What comes of what is seen, where not all that decides is seen: one picture or several, and what they become.

    E(s, y)    = −log p(y|s)                       a network says what will be
    E(s, y, z) = −log p(y|s, z) − log p(z)         and z says what can't be seen: −log p(z) = ½‖z‖², up to a constant
    q(z)       = N(mean, spread²)                  what an encoder believes of z, having seen y

p is normal around what the network answers, of one width everywhere, or, where y are labels, their log odds at each place. Without z the
network answers with the mean of all that may come, which is none of it; with z each z is one of them. `lowland.objectives.LatentPrediction`
trains it, and the energy with z minimised out is surprise: how far the most fitting of all that may come is from what came.

Sources: LeCun, A Path Towards Autonomous Machine Intelligence (2022), section 4.3, for latent-variable predictors; Henaff, Canziani &
LeCun, ICLR 2019, section 2.1.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from ..errors import SpaceError, StructureError
from ..spaces import Real, Space
from ..spaces.integers import Integers
from .energy import Energy
from .latent_bits import GaussianBelief


class Outcome(Energy):
    """How badly what came agrees with what is seen and a z, plus how odd that z is. Units: nats, up to what is the same for all y and z.

    Args:
        network: ``network(s)`` or ``network(s, z)``: ``(N, *y)``, or ``(N, K, *y)`` log odds where y are labels.
        s: Space of what is seen.
        y: Space of what comes of it: real numbers, a box, or labels.
        encoder: ``encoder(s, y)``, the mean of the belief and what its spread is the softplus of: ``(N, 2·Z)``; ``None`` without z.
        z: Z, how many numbers nobody sees.
        noise: σ > 0, how far off an answer usually is, in units of y; labels have none.

    Raises:
        SpaceError: If the noise is not positive, or there is a z without an encoder, or an encoder without a z.
    """

    def __init__(
        self, network: nn.Module, s: Space, y: Space, encoder: nn.Module | None = None, z: int = 0, noise: float = 1.0
    ) -> None:
        if not noise > 0:
            raise SpaceError(f"Outcome: wanted noise > 0, got {noise}.")
        if (encoder is None) is not (z == 0) or z < 0:
            raise SpaceError(f"Outcome: wanted a z and an encoder of it, or neither; got z={z} and encoder={encoder}.")
        super().__init__(s=s, y=y, **({"z": Real(z)} if z else {}))
        self.network, self.encoder, self.noise = network, encoder, noise

    @classmethod
    def example(cls) -> Outcome:
        class Sum(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.seen, self.unseen = nn.Linear(3, 4), nn.Linear(2, 4, bias=False)

            def forward(self, s: Tensor, z: Tensor) -> Tensor:
                return (self.seen(s) + self.unseen(z)).tanh()

        class Guess(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(7, 4)

            def forward(self, s: Tensor, y: Tensor) -> Tensor:
                return self.layer(torch.cat([s, y], 1))

        return cls(Sum(), Real(3), Real(4), Guess(), 2, 0.5)

    def energies(self, s: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        told = self.surprise(s, y, z).flatten(1).sum(1)
        return told if z is None else told + self.prior(z)

    def surprise(self, s: Float[Tensor, "N ..."], y: Tensor, z: Tensor | None = None) -> Float[Tensor, "N ..."]:
        """−log p of each number or label of y, in nats: where, and when, it is not what was expected."""
        answer = self.network(s) if z is None else self.network(s, z)
        if isinstance(self.spaces["y"], Integers):
            return cross_entropy(answer.float(), y, reduction="none")
        return 0.5 * ((y - answer) / self.noise).square()

    def prior(self, z: Float[Tensor, "*B Z"]) -> Float[Tensor, "*B"]:
        """−log p(z), up to a constant: the part of the energy that knows nothing of what came."""
        return 0.5 * z.square().sum(-1)

    def belief(self, s: Tensor, y: Tensor) -> GaussianBelief:
        """What the encoder believes of z, ``(N, Z)`` each, having seen what came.

        Raises:
            StructureError: If there is no z.
        """
        if self.encoder is None:
            raise StructureError("Outcome: wanted an energy with a z to guess it, got one without.")
        mean, spread = self.encoder(s, y).chunk(2, -1)
        return GaussianBelief(mean, softplus(spread) + 1e-4)
