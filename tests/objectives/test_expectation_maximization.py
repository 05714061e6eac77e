"""EM against scikit-learn's, and the guard against a component that shrinks onto one sample."""

import pytest
import torch
from sklearn.mixture import GaussianMixture as Peer
from torch.nn.functional import one_hot

from lowland.energy import GaussianMixture
from lowland.errors import SpaceError
from lowland.objectives import expectation_maximization
from lowland.spaces import Categorical, Real


@pytest.fixture
def x() -> torch.Tensor:
    centres = torch.tensor([[0.0, 0.0, 0.0], [4.0, 1.0, 0.0], [-3.0, 3.0, 1.0]])
    return (centres[torch.arange(300) % 3] + torch.randn(300, 3) @ torch.randn(3, 3)).double()


def start(x: torch.Tensor) -> torch.Tensor:
    return one_hot(torch.randint(3, (len(x),)), 3).double()


def test_every_step_lowers_the_free_energy_to_where_scikit_learn_ends(x):
    mixture = GaussianMixture(Real(3), z=Categorical(3)).double()
    begin = start(x)
    history = torch.tensor(expectation_maximization(mixture, x, begin, steps=300))
    assert (history.diff() < 1e-9).all() and history[-1] < history[0] - 0.1
    peer = Peer(3, tol=1e-10, max_iter=1000, reg_covar=0.0)
    peer._initialize_parameters = lambda values, random_state, **_: peer._initialize(values, begin.numpy())
    assert history[-1].item() == pytest.approx(-peer.fit(x.numpy()).score(x.numpy()), abs=1e-6)


def test_a_weight_counts_as_repetition(x):
    begin, weights = start(x), torch.randint(1, 4, (len(x),))
    repeated = torch.repeat_interleave(torch.arange(len(x)), weights)
    once, often = (GaussianMixture(Real(3), z=Categorical(3)).double() for _ in range(2))
    settings = {"steps": 5, "floor": 0.1, "shrinkage": 20.0}
    expectation_maximization(once, x, begin, weights=weights.double(), **settings)
    expectation_maximization(often, x[repeated], begin[repeated], **settings)
    for name, parameter in once.named_parameters():
        torch.testing.assert_close(parameter, often.get_parameter(name))


def test_much_shrinkage_gives_all_components_one_covariance(x):
    mixture = GaussianMixture(Real(3), z=Categorical(3)).double()
    expectation_maximization(mixture, x, start(x), steps=3, shrinkage=1e9)
    torch.testing.assert_close(mixture.whitening[0], mixture.whitening[2], rtol=1e-5, atol=1e-5)


def test_a_component_does_not_shrink_onto_one_sample(x):
    lonely = torch.zeros(len(x), 2).double()
    lonely[:, 0], lonely[0] = 1, torch.tensor([0.0, 1.0])
    mixture = GaussianMixture(Real(3), z=Categorical(2)).double()
    with pytest.raises(SpaceError, match=r"1 of 2 covariances have no inverse.*give a floor > 0"):
        expectation_maximization(mixture, x, lonely, steps=1)
    expectation_maximization(mixture, x, lonely, steps=20, floor=0.5)
    variances = torch.linalg.inv(mixture.whitening.mT @ mixture.whitening).diagonal(dim1=-2, dim2=-1)
    assert variances.min() >= 0.5
