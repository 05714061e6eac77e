"""Each estimator over neighbours finds the energy that the data were drawn from, as maximum likelihood would."""

import pytest
import torch

from lowland.energy import Function
from lowland.errors import SpaceError, StructureError
from lowland.objectives import GeneralizedScoreMatching, MinimumProbabilityFlow, PseudoLikelihood, RatioMatching
from lowland.spaces import Binary, Real

ALL = [PseudoLikelihood(), RatioMatching(), MinimumProbabilityFlow(), GeneralizedScoreMatching()]


@pytest.mark.parametrize("objective", ALL, ids=lambda objective: type(objective).__name__)
def test_the_optimum_is_that_of_maximum_likelihood(objective, boltzmann, truth, lowest):
    found = lowest(objective, boltzmann(), {"x": truth.population(20_000)})
    assert found.difference(truth) < 0.01


def test_values_by_hand():
    energy = Function(lambda x: 2 * x[:, 0] - x[:, 1], x=Binary(2))
    x = torch.tensor([[0.0, 1.0]])  # E = −1; the flips have 1 and 0, so r = e^−2, e^−1
    r = torch.tensor([-2.0, -1.0]).exp()
    for objective, wanted in [
        (PseudoLikelihood(), r.log1p().sum()),
        (RatioMatching(), (r / (1 + r)).square().sum()),
        (MinimumProbabilityFlow(), r.sqrt().sum()),
        (GeneralizedScoreMatching(), (r.square() - 2 / r).sum()),
    ]:
        torch.testing.assert_close(objective(energy, {"x": x}).value, wanted)


def test_a_subset_of_bits_stands_for_all_on_average(truth):
    batch = {"x": truth.population(50)}
    whole = PseudoLikelihood()(truth, batch).value
    some = torch.stack([PseudoLikelihood(bits=2)(truth, batch).value for _ in range(300)])
    assert abs(some.mean() - whole) < 4 * some.std() / 300**0.5
    assert some.std() > 0


def test_generalised_score_matching_has_no_lower_bound_where_neighbours_are_not_data():
    energy = Function(lambda x: 20 * x[:, 0], x=Binary(1))
    assert GeneralizedScoreMatching()(energy, {"x": torch.zeros(1, 1)}).value < -1e6
    assert RatioMatching()(energy, {"x": torch.zeros(1, 1)}).value >= 0


def test_what_is_not_bits_is_refused(truth):
    with pytest.raises(SpaceError, match=r"x: wanted zeros and ones .* got 0.5"):
        RatioMatching()(truth, {"x": torch.full((2, 4), 0.5)})
    with pytest.raises(StructureError, match="wanted a variable of zeros and ones"):
        RatioMatching()(Function(lambda x: x.sum(1), x=Real(2)), {"x": torch.zeros(2, 2)})
    with pytest.raises(StructureError, match="no variable v"):
        RatioMatching("v")(truth, {"x": torch.zeros(2, 4)})
