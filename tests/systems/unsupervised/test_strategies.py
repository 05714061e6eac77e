"""What is particular to the seven strategies; that the system runs at all is tested with the gallery."""

import pytest
import torch

from lowland.inference import GridDensity
from lowland.systems.unsupervised.strategies import (
    PROBLEMS,
    SIDE,
    STRATEGY,
    Config,
    build,
    data,
    landscape,
    loss,
    objectives,
    resolved,
)

SMALL = Config(points=50, width=8, batch_size=20, resolution=40)
CLOSED = {"": {"centres", "collapsed"}, "digits_": {"centres", "collapsed", "likelihood"}}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(SMALL)


@pytest.fixture(scope="module")
def points():
    return data(SMALL)


def test_all_seven_are_there_and_one_that_has_no_reason_not_to_collapse():
    assert set(STRATEGY.values()) == {"C1", "C2", "C3", "A1", "A2", "A3", "A4", "none"}


@pytest.mark.parametrize("prefix", PROBLEMS)
def test_every_strategy_has_a_landscape_and_an_objective_or_a_closed_form(model, points, prefix):
    x = points.train["digits" if prefix else "x"][:20]
    shaped = objectives(model, prefix, SMALL, points.train["digits" if prefix else "x"])
    assert {*shaped} | CLOSED[prefix] == {*STRATEGY} and not {*shaped} & CLOSED[prefix]
    for name in STRATEGY:
        assert landscape(model, prefix + name)(x=x).shape == (20,)
    for name, objective in shaped.items():
        assert loss(model, prefix + name, objective)({"x": x}).value.isfinite()


def test_the_collapsed_landscape_is_flat_to_the_last_digit_that_counts(model, points):
    density = GridDensity(resolved(model, "collapsed"), -SIDE, SIDE, 40)
    assert density.energies.std() == 0 and density.low_share(points.test["x"]) == 1
    assert resolved(model, "digits_collapsed")(x=points.test["digits"]).std() == 0


def test_others_are_not_flat(model, points):
    for name in STRATEGY.keys() - {"collapsed"}:
        assert GridDensity(resolved(model, name), -SIDE, SIDE, 40).energies.std() > 0, name


def test_digits_have_a_variance_of_one_and_can_be_drawn_again(points):
    x = points.train["digits"]
    assert x.var(0).mean().item() == pytest.approx(1, abs=0.01)
    pixels = points.test["digits"] @ points.extra["axes"].T + points.extra["mean"]
    assert pixels.shape[1] == 64 and pixels.min() > -0.5 and pixels.max() < 1.5
    assert len(points.train["digits"]) + len(points.validation["digits"]) + len(points.test["digits"]) == 1797


def test_lookalikes_are_not_digits_but_look_so_to_a_quadratic_energy(points):
    x, others = points.train["digits"], points.extra["lookalikes"]
    precision = torch.linalg.inv(x.T.cov())
    heights = [((rows @ precision) * rows).sum(1).mean().item() for rows in (x, others)]
    assert heights[0] == pytest.approx(heights[1], rel=0.03)
