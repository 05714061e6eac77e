"""A world with two futures: a latent variable tells them apart, and dropping it keeps actions in charge."""

import pytest
import torch

from lowland.energy import Forecast, LatentForecast
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.nets import Dynamics, mlp
from lowland.objectives import EnergyLoss, LatentPrediction
from lowland.spaces import Box, Real
from lowland.train import fit

STATE, ACTION = Real(2), Box(-1, 1, 2)


def moved(a: torch.Tensor) -> torch.Tensor:
    """What an action does: up or down in waves, which is harder to learn than to be told."""
    return torch.stack([torch.zeros_like(a[..., 1]), 0.5 * (6 * a[..., 1]).sin()], -1)


def forked(samples: int = 1024) -> dict[str, torch.Tensor]:
    """What an action does, and a step to the left or to the right: a coin decides."""
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(samples, 2, generator=generator)
    a = 2 * torch.rand(samples, 1, 2, generator=generator) - 1
    coin = torch.randint(2, (samples, 1), generator=generator) * 2.0 - 1
    return {"s": s, "a": a, "y": s.unsqueeze(1) + moved(a) + torch.stack([coin, torch.zeros(samples, 1)], -1)}


def learnt(dropout: float, weight: float, latent: int) -> Dynamics:
    torch.manual_seed(0)
    batch = forked()
    model = Dynamics(STATE, ACTION, (32, 32), z=Real(latent))
    model.fit_scale(batch["s"], batch["a"][:, 0], batch["y"][:, 0])
    energy = LatentForecast(model, mlp((4, 32, 2 * latent)), noise=0.2)
    fit(energy, batch, LatentPrediction(weight, dropout), epochs=40, batch_size=64, rate=5e-3)
    return model


def futures(model: Dynamics, draws: int = 200) -> torch.Tensor:
    """Where one gets to from the origin doing nothing, ``(draws, 2)``."""
    z = torch.randn(draws, 1, model.z.shape[0], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.rollout(torch.zeros(draws, 2), torch.zeros(draws, 1, 2), z)[0, :, 0]


def effect(model: Dynamics) -> float:
    """What the model has an action do, over draws of z, per what it does: 1 in truth, 0 if it is not listened to."""
    a = torch.stack([torch.zeros(21), torch.linspace(-1, 1, 21)], -1)
    z = torch.randn(200, 1, 1, model.z.shape[0], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        done = model.rollout(torch.zeros(21, 2), a.unsqueeze(1), z)[0, :, :, 0, 1].mean(0)
    true = moved(a)[:, 1]
    return (done @ true / (true @ true)).item()


def test_draws_of_z_are_the_two_futures_and_a_model_without_it_predicts_neither():
    found = futures(learnt(0.0, 1.0, 1))[:, 0]
    left, right = (found + 1).abs() < 0.3, (found - 1).abs() < 0.3
    assert (left | right).float().mean() > 0.7 and min(left.float().mean(), right.float().mean()) > 0.25
    torch.manual_seed(0)
    batch, sure = forked(), Dynamics(STATE, ACTION, (32, 32))
    sure.fit_scale(batch["s"], batch["a"][:, 0], batch["y"][:, 0])
    fit(Forecast(sure), batch, EnergyLoss(), epochs=20, batch_size=64)
    assert sure.rollout(torch.zeros(1, 2), torch.zeros(1, 1, 2))[0, 0, 0, 0].abs() < 0.4


def test_where_z_is_dropped_the_action_keeps_its_effect():
    careless, careful = (effect(learnt(dropout, 0.01, 3)) for dropout in (0.0, 0.5))
    assert careful > 0.7 and abs(careless) < 0.2


def test_dropping_always_would_leave_z_without_a_word():
    with pytest.raises(SpaceError, match=r"dropout in \[0, 1\)"):
        LatentPrediction(dropout=1.0)


def test_it_needs_a_belief_and_what_came():
    energy = LatentForecast.example()
    with pytest.raises(StructureError, match="belief"):
        LatentPrediction()(Forecast.example(), {})
    with pytest.raises(VariableError, match="not y"):
        LatentPrediction()(energy, {"s": torch.zeros(2, 2), "a": torch.zeros(2, 3, 2)})
