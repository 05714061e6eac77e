"""Vector quantisation: gradients go straight through, codewords are running means, and unused ones are put to use."""

import pytest
import torch
from torch import nn

from lowland.energy import Codebook, Function, QuantisedReconstruction
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.objectives import VectorQuantisation, perplexity
from lowland.spaces import Real


@pytest.fixture
def energy() -> QuantisedReconstruction:
    torch.manual_seed(0)
    return QuantisedReconstruction.example()


def test_the_value_is_that_of_the_codewords(energy):
    x = torch.randn(7, 4)
    y, z = energy.encoder(x), energy.code(x)
    wanted = energy(x=x, z=z).mean() + 0.25 * energy.codebook(y=y, z=z).mean()
    torch.testing.assert_close(VectorQuantisation()(energy, {"x": x}).value, wanted)


def test_the_slope_goes_straight_through_the_choice(energy):
    x = torch.randn(7, 4)
    weight = energy.encoder[0].weight
    (slope,) = torch.autograd.grad(VectorQuantisation(commitment=0.5)(energy, {"x": x}).value, weight)
    y = energy.encoder(x)
    words = energy.codebook.W[energy.codebook.nearest(y)].requires_grad_()
    told = 0.5 * (x - energy.decoder(words)).square().sum() / 7
    (at_words,) = torch.autograd.grad(told, words)
    (wanted,) = torch.autograd.grad(y, weight, at_words + 0.5 * (y - words).detach() / 7)
    torch.testing.assert_close(slope, wanted)


def test_codewords_are_running_means_of_what_chose_them():
    book = Codebook(places=1, dim=1, size=2)
    book.W.copy_(torch.tensor([[-1.0], [1.0]]))
    energy = QuantisedReconstruction(nn.Unflatten(1, (1, 1)), book, nn.Flatten(), Real(1))
    objective = VectorQuantisation(decay=0.5, restart=0.0)
    x = torch.tensor([[-3.0], [-2.0], [-4.0], [5.0]])
    objective(energy, {"x": x})
    assert book.W.tolist() == [[-1.0], [1.0]]  # the next step sees them moved
    objective(energy, {"x": x})
    # each was due 2 choices: (2 · old + 9 or 5) / (2 + 3 or 1)
    torch.testing.assert_close(book.W, torch.tensor([[(-2 - 9) / 5], [(2 + 5) / 3]]))
    for _ in range(40):
        objective(energy, {"x": x})
    torch.testing.assert_close(book.W, torch.tensor([[-3.0], [5.0]]), atol=1e-4, rtol=0)


def test_what_it_remembers_decides_the_next_codewords(energy):
    x = torch.randn(32, 4)
    one, other = VectorQuantisation(), VectorQuantisation()
    one(energy, {"x": x})
    other.load_state_dict(one.state_dict())
    torch.manual_seed(1)
    first = one(energy, {"x": x}).value
    torch.manual_seed(1)
    assert other(energy, {"x": x}).value == first
    with torch.no_grad():
        before = {name: part.clone() for name, part in one.state_dict().items()}
        one(energy, {"x": x})
    assert all((one.state_dict()[name] == part).all() for name, part in before.items())


@pytest.mark.parametrize(("restart", "least", "most"), [(0.0, 1, 2.5), (0.05, 7, 8)])
def test_without_restarts_the_book_shrinks_to_a_few_codewords(restart, least, most):
    """Eight clusters far from where all but one codeword begin."""
    torch.manual_seed(0)
    centres = 10 + torch.arange(8.0).unsqueeze(-1) * torch.tensor([1.0, -0.7])
    x = centres.repeat(40, 1) + 0.02 * torch.randn(320, 2)
    energy = QuantisedReconstruction(nn.Unflatten(1, (1, 2)), Codebook(1, 2, 8), nn.Flatten(), Real(2))
    objective = VectorQuantisation(decay=0.9, restart=restart)
    for _ in range(400):
        objective(energy, {"x": x[torch.randint(320, (64,))]})
    used = perplexity(energy.code(x), 8).item()
    assert least <= used <= most + 1e-4


def test_perplexity_counts_the_codewords_in_use():
    assert perplexity(torch.arange(12) % 6, 9).item() == pytest.approx(6)
    assert perplexity(torch.zeros(3, 4, dtype=torch.int64), 9).item() == pytest.approx(1)


def test_what_it_can_not_quantise_is_refused(energy):
    with pytest.raises(StructureError, match="wanted a QuantisedReconstruction"):
        VectorQuantisation()(Function(lambda x: x, x=Real()), {"x": torch.zeros(3)})
    with pytest.raises(VariableError, match="but not x"):
        VectorQuantisation()(energy, {"y": torch.zeros(3, 4)})
    with pytest.raises(SpaceError, match="decay and restart in"):
        VectorQuantisation(decay=1.0)
