"""Forecasts with a z: a bound on the likelihood, of which the belief knows what came."""

import pytest
import torch
from torch import nn

from lowland.energy import Forecast, KnownModel, LatentForecast
from lowland.errors import SpaceError, StructureError
from lowland.spaces import Real


def test_it_is_the_forecast_and_the_price_of_z():
    energy = LatentForecast.example()
    s, a, y, z = torch.randn(4, 2), torch.randn(4, 3, 2), torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    wanted = Forecast(energy.model, 3)(s=s, a=a, y=y, z=z) / 0.25 + 0.5 * z.square().sum((-2, -1))
    torch.testing.assert_close(energy(s=s, a=a, y=y, z=z), wanted)


def test_the_encoder_sees_each_step_and_by_how_much_it_changed():
    class Seen(nn.Module):
        def forward(self, x):
            self.x = x
            return torch.zeros(len(x), 4)

    energy = LatentForecast.example()
    energy.encoder = Seen()
    s, y = torch.randn(4, 2), torch.randn(4, 3, 2)
    belief = energy.belief(s, y)
    assert belief.mean.shape == belief.spread.shape == (4, 3, 2)
    before, change = energy.encoder.x.unflatten(0, (4, 3)).chunk(2, -1)
    torch.testing.assert_close(before, torch.cat([s[:, None], y[:, :2]], 1))
    torch.testing.assert_close(before + change, y)


def test_a_model_that_is_sure_and_noise_of_nothing_are_refused():
    with pytest.raises(StructureError, match="a model with a z"):
        LatentForecast(KnownModel(lambda s, a: s, Real(2), Real(2)), nn.Identity())
    with pytest.raises(SpaceError, match="noise > 0"):
        LatentForecast(LatentForecast.example().model, nn.Identity(), noise=0.0)
