"""Bits that a hidden vector makes: the energy of a variational auto-encoder.

    E(x, z) = −log p(x|z) − log p(z)        −log p(x|z) = Σ_i log(1 + exp a_i) − x_i a_i,   a = decoder(z)
                                            −log p(z)   = ½‖z‖² + K/2 log 2π
    q(z|x)  = N(mean, spread²)              what the encoder believes of exp(−E(x, z)) / Z(x)

Its free energy at β = 1 is −log p(x), in nats: nothing is left to normalise. z is summed over by no closed form; the belief says where
to look (`lowland.inference.importance_sampling`), and bounds the free energy (`lowland.objectives.EvidenceBound`).

Sources: Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014, section 3 and appendix C; Rezende, Mohamed & Wierstra, ICML 2014.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import SpaceError
from ..spaces import Binary, Real
from .energy import Energy
from .independent_bits import IndependentBits
from .partial import Partial

#: softplus(0 + _ONE) = 1: an encoder that says nothing believes the prior's spread.
_ONE = math.log(math.e - 1)


class GaussianBelief(NamedTuple):
    """Numbers that are believed to be normal, each on its own.

    Attributes:
        mean: ``(*B, K)``, in units of z.
        spread: ``(*B, K)``, the standard deviation, > 0.
    """

    mean: Tensor
    spread: Tensor

    def draw(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "N *B K"]:
        """So many draws for each sample; their gradient goes to the mean and the spread."""
        shape = (count, *self.mean.shape)
        noise = torch.randn(shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.spread * noise

    def log_density(self, z: Float[Tensor, "*N K"]) -> Float[Tensor, "*N"]:
        """log q(z), in nats."""
        far = ((z - self.mean) / self.spread).square()
        return -(0.5 * far + self.spread.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def divergence(self) -> Float[Tensor, "*B"]:
        """KL(q ‖ N(0, 1)) ≥ 0 in nats: how much is told of what was unknown."""
        return (0.5 * (self.mean.square() + self.spread.square() - 1) - self.spread.log()).sum(-1)

    def detach(self) -> GaussianBelief:
        """The same, held fixed."""
        return GaussianBelief(self.mean.detach(), self.spread.detach())

    def select(self, rows: Tensor) -> GaussianBelief:
        """Of some samples only."""
        return GaussianBelief(self.mean[rows], self.spread[rows])


class LatentBits(Energy):
    """−log p(x|z) − log p(z), in nats: independent bits, given a standard normal vector that nobody sees.

    Args:
        decoder: Maps ``(N, K)`` to the log odds of the bits ``(N, D)``.
        encoder: Maps ``(N, D)`` to the mean of the belief and what its spread is the softplus of, ``(N, 2K)``.
        x: Space of the bits, D in all.
        latent: K, how many numbers the hidden vector has.

    Raises:
        SpaceError: If the hidden vector is empty.
    """

    broadcasts = True

    def __init__(self, decoder: nn.Module, encoder: nn.Module, x: Binary, latent: int) -> None:
        if latent < 1:
            raise SpaceError(f"LatentBits: wanted a hidden vector of at least 1 number, got {latent}.")
        super().__init__(x=x, z=Real(latent))
        self.decoder, self.encoder = decoder, encoder

    @classmethod
    def example(cls) -> LatentBits:
        """A small one, for the conformance checks."""
        decoder = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 4))
        return cls(decoder, nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 4)), Binary(2, 2), 2)

    def odds(self, z: Float[Tensor, "*N K"]) -> Tensor:
        """The log odds of the bits, ``(*N, *event)``; in the dtype of z, whatever the decoder computes in."""
        flat = self.decoder(z.reshape(-1, z.shape[-1])).to(z.dtype)
        return flat.reshape(*z.shape[:-1], *self.spaces["x"].shape)

    def mean(self, z: Float[Tensor, "*N K"]) -> Tensor:
        """How likely each bit is to be 1, ``(*N, *event)``."""
        return self.odds(z).sigmoid()

    def prior(self, z: Float[Tensor, "*N K"]) -> Float[Tensor, "*N"]:
        """−log p(z), the part of the energy that knows nothing of x."""
        return 0.5 * z.square().sum(-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)

    def energies(self, x: Tensor, z: Tensor) -> Tensor:
        odds = self.odds(z)
        return self._total(torch.addcmul(softplus(odds), x, odds, value=-1)) + self.prior(z)

    def belief(self, x: Tensor) -> GaussianBelief:
        """What the encoder believes of z: ``(*N, K)`` each."""
        batch = self.spaces["x"].batch_shape(x, "x")
        mean, spread = self.encoder(x.reshape(batch.numel(), -1)).to(x.dtype).reshape(*batch, -1).chunk(2, -1)
        return GaussianBelief(mean, softplus(spread + _ONE) + 1e-4)

    def given(self, **observed: Any) -> Energy:
        """With z known the decoder has nothing left to do, and bits remain that don't see each other."""
        if observed.keys() == {"z"} and isinstance(observed["z"], Tensor):
            z = observed["z"]
            self.spaces["z"].batch_shape(z, "z")
            odds = self.odds(z)
            constant = self._total(softplus(odds)) + self.prior(z)
            return IndependentBits(odds, constant, "x", len(self.spaces["x"].shape))
        return super().given(**observed)

    def seen(self, partial: Partial) -> SeenBits:
        """E(z) where x is known in places only: the bits that nobody sees are summed out, and cost nothing."""
        return SeenBits(self, partial)

    def _total(self, costs: Tensor) -> Tensor:
        return costs.flatten(-len(self.spaces["x"].shape)).sum(-1)


class SeenBits(Energy):
    """−log p(the bits that are seen | z) − log p(z), in nats: what half a picture says of its hidden vector.

    Args:
        energy: The energy of the whole.
        partial: The bits ``(*B, *event)``, and which of them are seen.
    """

    broadcasts = True
    shown: Tensor
    bits: Tensor

    def __init__(self, energy: LatentBits, partial: Partial) -> None:
        super().__init__(z=energy.spaces["z"])
        self._batch_shape = energy.spaces["x"].batch_shape(partial.value, "x")
        self.energy = energy
        shown = partial.known.expand(partial.value.shape)
        self.register_buffer("shown", shown, persistent=False)
        self.register_buffer("bits", partial.value.masked_fill(~shown, 0.0), persistent=False)

    @classmethod
    def example(cls) -> SeenBits:
        """A small one, for the conformance checks."""
        known = torch.tensor([[True, False], [True, True]])
        return cls(LatentBits.example(), Partial(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), known))

    def energies(self, z: Tensor) -> Tensor:
        odds = self.energy.odds(z)
        costs = (softplus(odds) - self.bits * odds).masked_fill(~self.shown, 0.0)
        return self.energy._total(costs) + self.energy.prior(z)

    @property
    def batch_shape(self) -> torch.Size:
        return self._batch_shape

    def select(self, rows: Tensor) -> SeenBits:
        return SeenBits(self.energy, Partial(self.bits[rows], self.shown[rows]))
