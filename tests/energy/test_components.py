"""The two energies that look along directions."""

import pytest
import torch

from lowland import infer
from lowland.energy import IndependentComponents, PrincipalComponents
from lowland.errors import SpaceError
from lowland.spaces import Real


def test_minimised_over_z_it_is_the_distance_to_the_subspace():
    energy, y = PrincipalComponents(Real(5), 2), torch.randn(30, 5)
    with torch.no_grad():
        energy.mean.normal_()
    centred = y - energy.mean
    off = centred - centred @ energy.W @ energy.W.T
    torch.testing.assert_close(energy.minimize("z")(y=y), 0.5 * off.square().sum(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(infer(energy, "z", y=y).value, energy.project(y), atol=1e-3, rtol=1e-3)


def test_with_as_many_directions_as_dimensions_the_landscape_is_flat():
    energy, y = PrincipalComponents(Real(4), 4), 10 * torch.randn(30, 4)
    assert energy.minimize("z")(y=y).abs().max() < 1e-3


def test_the_independent_energy_is_a_density_of_each_source():
    """exp(−E) integrates to the same number whatever W is: ∏ ∫ exp(−½s² − κ log cosh s) ds."""
    energy = IndependentComponents(Real(2)).double()
    energy.peaked.copy_(torch.tensor([1.0, -1.0]))
    line = torch.linspace(-14, 14, 561, dtype=torch.float64)
    y = torch.cartesian_prod(line, line)
    volumes = []
    for W in (torch.eye(2), torch.tensor([[1.0, 0.4], [-0.3, 0.8]])):
        with torch.no_grad():
            energy.W.copy_(W)
        volumes.append((-energy(y=y)).exp().sum() * (line[1] - line[0]) ** 2)
    assert volumes[0].item() == pytest.approx(volumes[1].item(), rel=1e-6)
    s = line.double()
    wanted = torch.trapezoid((-0.5 * s**2).exp() / s.cosh(), s) * torch.trapezoid((-0.5 * s**2).exp() * s.cosh(), s)
    assert volumes[0].item() == pytest.approx(wanted.item(), rel=1e-6)


def test_more_directions_than_dimensions_are_refused():
    with pytest.raises(SpaceError, match="wanted 1 to 3 directions, got 4"):
        PrincipalComponents(Real(3), 4)
