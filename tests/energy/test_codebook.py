"""Codes of codewords: the nearest one at each place is the minimum, and every reduction agrees with a list of all codes."""

import pytest
import torch
from torch import nn

from lowland import infer
from lowland.energy import Codebook, Entropy, FreeEnergy, KBest, Min, QuantisedReconstruction, Sample
from lowland.errors import SpaceError, StructureError
from lowland.spaces import Real


@pytest.fixture
def book() -> Codebook:
    torch.manual_seed(0)
    return Codebook.example()


@pytest.fixture
def y(book) -> torch.Tensor:
    return torch.randn(6, *book.spaces["y"].shape)


def test_the_minimum_is_the_nearest_codeword_of_every_place(book, y):
    nearest = torch.cdist(y, book.W).argmin(-1)
    assert (book.nearest(y) == nearest).all()
    torch.testing.assert_close(book.minimize("z")(y=y), book(y=y, z=nearest))
    assert (infer(book, "z", y=y).value == nearest).all()


def test_the_slope_of_the_minimum_points_to_the_codewords(book, y):
    slope = book.minimize("z").gradient("y", y=y)
    torch.testing.assert_close(slope, y - book.W[book.nearest(y)])


@pytest.mark.parametrize("reduction", [Min(), FreeEnergy(0.7), KBest(5), Entropy(1.3)], ids=repr)
def test_reductions_by_place_agree_with_all_codes_in_a_row(book, y, reduction):
    structure, _ = book.structure("z", y=y)
    torch.testing.assert_close(structure.reduce(reduction), reduction(book.table("z", y=y)))


def test_the_best_codes_come_in_order(book, y):
    structure, _ = book.structure("z", y=y)
    codes, energies = structure.read(KBest(4))
    assert codes.shape == (6, 4, 3)
    torch.testing.assert_close(book(y=y[:, None], z=codes), energies)
    assert (energies.diff() >= 0).all()


def test_a_code_too_long_to_list_is_found_at_once():
    torch.manual_seed(0)
    book = Codebook(places=49, dim=4, size=64)
    y = torch.randn(5, 49, 4)
    found = infer(book, "z", y=y)
    assert (found.value == book.nearest(y)).all() and found.converged.all()
    torch.testing.assert_close(found.energy, book.minimize("z")(y=y))
    mixture = -(-torch.cdist(y, book.W).square() / 2).logsumexp(-1).sum(-1)
    torch.testing.assert_close(book.marginalize("z")(y=y), mixture, rtol=1e-4, atol=1e-3)


def test_draws_follow_the_posterior():
    torch.manual_seed(0)
    book = Codebook(places=2, dim=1, size=3)
    y = torch.zeros(8000, 2, 1)
    structure, _ = book.structure("z", y=y)
    codes, _ = structure.read(Sample(1.0, torch.Generator().manual_seed(0)))
    wanted = (-0.5 * book.W.squeeze(-1).square()).softmax(0)
    often = torch.stack([codes.flatten().eq(k).float().mean() for k in range(3)])
    torch.testing.assert_close(often, wanted, atol=0.02, rtol=0)


def test_mistakes_can_be_made_dear(book, y):
    structure, _ = book.structure("z", y=y)
    right = book.nearest(y)
    dear = structure.augmented(right, 1.5)
    wrong = (right + 1) % 4
    picked = dear.potentials.gather(-1, wrong.unsqueeze(-1)).squeeze(-1).sum(-1)
    torch.testing.assert_close(picked, book(y=y, z=wrong) - 3 * 1.5)


def test_a_code_is_decoded_from_its_codewords():
    torch.manual_seed(0)
    energy = QuantisedReconstruction.example()
    x = torch.randn(5, 4)
    z = energy.code(x)
    torch.testing.assert_close(energy(x=x, z=z), 0.5 * (x - energy.decoder(energy.codebook.W[z])).square().sum(-1))
    assert (infer(energy, "z", x=x).energy <= energy(x=x, z=z) + 1e-6).all()


def test_where_no_code_can_be_listed_the_encoder_says_it():
    torch.manual_seed(0)
    book = Codebook(places=40, dim=2, size=3)
    encoder = nn.Sequential(nn.Linear(4, 80), nn.Unflatten(1, (40, 2)))
    energy = QuantisedReconstruction(encoder, book, nn.Sequential(nn.Flatten(), nn.Linear(80, 4)), Real(4))
    x = torch.randn(5, 4)
    free = energy.minimize("z")
    assert (free.answer(x) == energy.code(x)).all()
    torch.testing.assert_close(free(x=x), energy(x=x, z=energy.code(x)))


def test_what_makes_no_sense_is_refused(book, y):
    with pytest.raises(SpaceError, match="size ≥ 1, got 3, 2 and 0"):
        Codebook(3, 2, 0)
    with pytest.raises(StructureError, match="second best"):
        book.structure("z", other_than=book.nearest(y), y=y)
