"""Directions in closed form, against scikit-learn and against sources that are known."""

import pytest
import torch
from sklearn.decomposition import PCA

from lowland.energy import IndependentComponents, PrincipalComponents
from lowland.errors import SpaceError
from lowland.objectives import independent_components, principal_components
from lowland.spaces import Real


def test_the_mean_energy_is_half_the_variance_left_out():
    y = (torch.randn(400, 6) @ torch.randn(6, 6) + 3).double()
    energy = PrincipalComponents(Real(6), 2).double()
    variance = principal_components(energy, y)
    peer = PCA(6).fit(y.numpy())
    wanted = torch.from_numpy(peer.explained_variance_) * 399 / 400
    torch.testing.assert_close(variance, wanted)
    assert energy.minimize("z")(y=y).mean().item() == pytest.approx(0.5 * wanted[2:].sum().item())
    cosines = (energy.W.detach().T @ torch.from_numpy(peer.components_[:2].T)).diagonal().abs()
    torch.testing.assert_close(cosines, torch.ones(2).double())


def test_mixed_sources_are_found_peaked_and_flat_ones():
    time = torch.arange(4000) / 4000
    peaked = torch.distributions.Laplace(0.0, 1.0).sample((4000,))
    sources = torch.stack([peaked, torch.rand(4000), (400 * time).sin(), (91 * time).sin().sign()], 1)
    y = (sources @ torch.randn(4, 4) + 1).double()
    energy = IndependentComponents(Real(4)).double()
    assert independent_components(energy, y, generator=torch.Generator().manual_seed(0))
    found = energy.sources(y).detach()
    match = torch.corrcoef(torch.cat([found, sources.double()], 1).T)[:4, 4:].square()
    assert (match.amax(0) > 0.99).all() and match.argmax(0).unique().numel() == 4
    kind = torch.tensor([1.0, -1.0, -1.0, -1.0]).double()
    torch.testing.assert_close(energy.peaked[match.argmax(0)], kind)
    torch.testing.assert_close(found.var(0), torch.ones(4).double(), rtol=1e-3, atol=1e-3)


def test_data_in_a_plane_are_refused():
    y = torch.randn(100, 1) @ torch.randn(1, 3)
    with pytest.raises(SpaceError, match="no variance along some direction"):
        independent_components(IndependentComponents(Real(3)).double(), y.double())
