"""Learning a dictionary finds the atoms that made the data, lowers the energy, and keeps atoms at length 1."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lowland.energy import L1, LinearReconstruction
from lowland.errors import StructureError
from lowland.inference import ADMM
from lowland.objectives import learn_dictionary
from lowland.spaces import Real

DIM, ATOMS = 8, 12


def made_of(atoms: Tensor, count: int) -> Tensor:
    z = torch.randn(count, ATOMS) * (torch.rand(count, ATOMS) < 0.15)
    return z @ atoms.T


def sparse(weight: float = 0.1):
    return LinearReconstruction(DIM, ATOMS) + L1(Real(ATOMS), weight)


def test_it_finds_the_atoms_that_made_the_data():
    atoms = torch.nn.functional.normalize(torch.randn(DIM, ATOMS), dim=0)
    energy = sparse()
    energy.terms[0].normalize()
    learn_dictionary(energy, [made_of(atoms, 300) for _ in range(150)], solver=ADMM(), steps=30, tol=0.0)
    likeness = (atoms.T @ energy.terms[0].W.detach()).abs().amax(1)
    assert (likeness > 0.97).float().mean() >= 0.75


def test_the_energy_falls_and_atoms_keep_their_length():
    energy = sparse()
    y = torch.randn(200, DIM)
    history = learn_dictionary(energy, [y] * 20, solver=ADMM(), steps=100)
    assert history[-1] < 0.9 * history[0]
    assert all(after <= before + 1e-4 for before, after in pairwise(history[1:]))
    torch.testing.assert_close(energy.terms[0].W.norm(dim=0), torch.ones(ATOMS))


def test_an_atom_that_nothing_uses_becomes_a_sample():
    energy = sparse(0.5)
    with torch.no_grad():
        energy.terms[0].W[:, 3] = 0
    y = torch.randn(40, DIM)
    learn_dictionary(energy, [y], solver=ADMM(), steps=50)
    torch.testing.assert_close(energy.terms[0].W[:, 3], torch.nn.functional.normalize(y[3], dim=0))


def test_without_a_decoder_it_says_so():
    with pytest.raises(StructureError, match="wanted one LinearReconstruction"):
        learn_dictionary(L1(Real(3)), [])
