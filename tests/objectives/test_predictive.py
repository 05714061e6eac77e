"""Predictive sparse decomposition: the code lies lower than the guess, training closes the gap, atoms keep their length."""

import pytest
import torch
from torch import Tensor

from lowland.energy import L1, LinearReconstruction, Prediction
from lowland.errors import StructureError
from lowland.inference import ADMM
from lowland.nets import SmoothShrinkage, SparseEncoder
from lowland.objectives import PredictiveDecomposition, keep_unit_atoms
from lowland.spaces import Real

DIM, ATOMS, WEIGHT = 8, 12, 0.1


def predictive():
    decoder = LinearReconstruction(DIM, ATOMS)
    decoder.normalize()
    encoder = SparseEncoder(DIM, ATOMS, SmoothShrinkage(ATOMS, threshold=0.05))
    encoder.follow(decoder.W.detach())
    sparse = decoder + L1(Real(ATOMS), WEIGHT)
    return decoder, encoder, sparse, sparse + 1.0 * Prediction(encoder, Real(DIM), Real(ATOMS))


def gap(sparse, encoder, y: Tensor) -> float:
    """Energy of the guess over that of the best code."""
    with torch.no_grad():
        least = sparse.minimize("z", ADMM(), tol=1e-4)(y=y)
        return (sparse(y=y, z=encoder(y)).mean() / least.mean()).item()


def test_training_lowers_the_energy_and_teaches_the_encoder():
    atoms = torch.nn.functional.normalize(torch.randn(DIM, ATOMS), dim=0)
    y = (torch.randn(400, ATOMS) * (torch.rand(400, ATOMS) < 0.15)) @ atoms.T
    decoder, encoder, sparse, energy = predictive()
    before = gap(sparse, encoder, y)
    optimizer = keep_unit_atoms(torch.optim.Adam(energy.parameters(), lr=0.01), decoder)
    objective = PredictiveDecomposition(steps=20)
    losses = []
    for _ in range(150):
        loss = objective(energy, {"y": y})
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
        losses.append(loss.value.item())
    assert losses[-1] < 0.7 * losses[0]
    assert gap(sparse, encoder, y) < 1.3 < before
    torch.testing.assert_close(decoder.W.norm(dim=0), torch.ones(ATOMS))


def test_with_no_steps_the_guess_itself_is_judged():
    _, encoder, sparse, energy = predictive()
    y = torch.randn(5, DIM)
    loss = PredictiveDecomposition(steps=0)(energy, {"y": y})
    torch.testing.assert_close(loss.value, sparse(y=y, z=encoder(y)).mean())


def test_without_an_encoder_it_says_so():
    with pytest.raises(StructureError, match="wanted one part called encoder"):
        PredictiveDecomposition()(LinearReconstruction(3, 4), {"y": torch.ones(2, 3)})
