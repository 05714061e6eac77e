"""A forecast of what can't be known: beside the state and the action, z decides what comes next, and nobody sees it.

    E(s, a, y, z) = ½ Σ_t ‖(y[t] − g(s, a, z)[t]) / (σ · scale)‖² + ½ Σ_t ‖z[t]‖²     = −log p(y|s, a, z) − log p(z), up to a constant
    q(z[t])       = N(mean, spread²)                             what an encoder believes of z[t], having seen s[t] and s[t+1]

Where several futures are possible a model without z predicts their mean, which is none of them; with it each z is one of them. At use
z is drawn from N(0, 1). `lowland.objectives.LatentPrediction` trains it.

Sources: Henaff, Canziani & LeCun, Model-Predictive Policy Learning with Uncertainty Regularization, ICLR 2019, section 2.1; Denton &
Fergus, Stochastic Video Generation, ICML 2018.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..errors import SpaceError, StructureError
from ..spaces import Real
from .energy import Energy
from .latent_bits import GaussianBelief
from .world_model import Forecast, WorldModel


class LatentForecast(Energy):
    """How badly what came agrees with a z, plus how odd that z is. Units: nats, up to what is the same for all y and z.

    Args:
        model: g, with a z that is a vector.
        encoder: From ``(N, 2·S)``, a state and by how much it changed, in units of ``model.scale``, to the mean of the belief and what its
            spread is the softplus of: ``(N, 2·Z)``. It does not see the action, which has no need to be told.
        horizon: T, how many steps in a row are predicted, each from the last prediction.
        noise: σ > 0, how far off a forecast usually is, in units of ``model.scale``: what a nat buys.
        checkpoint: As for `WorldModel.rollout`.

    Raises:
        StructureError: If the model has no z, or one that is no vector.
        SpaceError: If the noise is not positive.
    """

    broadcasts = True

    def __init__(
        self, model: WorldModel, encoder: nn.Module, horizon: int = 1, *, noise: float = 1.0, checkpoint: bool = False
    ) -> None:
        if not isinstance(model.z, Real) or len(model.z.shape) != 1:
            raise StructureError(f"LatentForecast: wanted a model with a z that is a vector, got {model.z!r}.")
        if not noise > 0:
            raise SpaceError(f"LatentForecast: wanted noise > 0, got {noise}.")
        forecast = Forecast(model, horizon, checkpoint)
        super().__init__(**forecast.spaces)
        self.forecast, self.encoder, self.noise = forecast, encoder, noise

    @classmethod
    def example(cls) -> LatentForecast:
        return cls(_Blown(), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)), 3, noise=0.5)

    @property
    def model(self) -> WorldModel:
        """g."""
        return self.forecast.model

    def energies(self, s: Tensor, a: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return self.forecast(s=s, a=a, y=y, z=z) / self.noise**2 + self.prior(z)

    def prior(self, z: Float[Tensor, "*B T Z"]) -> Float[Tensor, "*B"]:
        """−log p(z), up to a constant: the part of the energy that knows nothing of what came."""
        return 0.5 * z.square().sum((-2, -1))

    def belief(self, s: Tensor, y: Tensor) -> GaussianBelief:
        """What the encoder believes of z, ``(*B, T, Z)`` each, having seen the states before and after each step."""
        batch = self.spaces["s"].batch_shape(s, "s")
        before = torch.cat([s.unsqueeze(len(batch)), y.narrow(len(batch), 0, self.forecast.horizon - 1)], len(batch))
        seen = torch.cat([before, (y - before) / self.model.scale], -1)
        mean, spread = self.encoder(seen.flatten(0, -2)).unflatten(0, seen.shape[:-1]).chunk(2, -1)
        return GaussianBelief(mean, softplus(spread) + 1e-4)


class _Blown(WorldModel):
    """A push, and a wind that nobody sees."""

    def __init__(self) -> None:
        super().__init__(Real(2), Real(2), Real(2))
        self.wind = nn.Linear(2, 2)

    def step(self, s: Tensor, a: Tensor, z: Tensor | None = None) -> Tensor:
        return s + a.tanh() + (0 if z is None else self.wind(z))
