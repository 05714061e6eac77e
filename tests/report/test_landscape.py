import numpy as np
import pytest
import torch
from torch import nn

from lowland.errors import UsageError
from lowland.report import landscape, landscapes
from lowland.report.landscape import _levels, _low_points
from lowland.report.plane import choose_plane


class Bowls(nn.Module):
    """½ the squared distance to the nearest of some centres; writes down how many points it was asked about at once."""

    def __init__(self, centres):
        super().__init__()
        self.register_buffer("centres", torch.as_tensor(centres, dtype=torch.float64))
        self.asked = []

    def forward(self, x):
        self.asked.append(len(x))
        return 0.5 * torch.cdist(x.flatten(1), self.centres).square().amin(1)


def crosses(axes):
    """Where low points are marked."""
    found = [line for line in axes.get_lines() if line.get_label() == "low point"]
    return np.stack(found[0].get_data(), -1) if found else np.empty((0, 2))


def test_the_low_points_of_the_plane_are_marked_within_a_cell():
    figure = landscape(Bowls([[-1.0, 0.5], [1.2, -0.7]]), "x", extent=(-3, 3, -2, 2), resolution=61)
    marked = crosses(figure.axes[0])
    assert len(marked) == 2
    expected = np.array([[-1.0, 0.5], [1.2, -0.7]])
    assert np.abs(np.sort(marked, 0) - np.sort(expected, 0)).max() <= 0.1
    assert figure.axes[0].get_xlabel() == "x₁"
    assert figure.axes[-1].get_ylabel() == "energy"


def test_points_are_asked_about_in_chunks_and_in_the_energy_s_own_dtype():
    energy = Bowls([[0.0, 0.0]])
    landscape(energy, "x", resolution=80)
    assert sum(energy.asked) == 6400
    assert max(energy.asked) <= 4096


def test_a_plane_of_principal_directions_holds_what_varies_and_drops_the_rest():
    flat = torch.randn(200, 2, dtype=torch.float64) * torch.tensor([3.0, 1.0])
    turned = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    data = (flat @ turned[:2] + 5.0).reshape(200, 2, 3)
    plane = choose_plane(Bowls(torch.zeros(1, 6)), "x", (2, 3), None, data, None)
    places = torch.as_tensor(plane.places(data))
    assert torch.allclose(plane.points(places), data, atol=1e-9)
    assert abs(float(plane.across @ plane.up)) < 1e-12
    assert plane.names[0].startswith("1st principal direction (")


def test_a_plane_goes_through_the_three_values_it_was_given():
    corners = torch.randn(3, 5, dtype=torch.float64)
    plane = choose_plane(Bowls(corners[:1]), "x", (5,), corners, None, None)
    assert torch.allclose(plane.points(torch.as_tensor(plane.places(corners))), corners, atol=1e-9)
    marked = crosses(landscape(Bowls(corners[:1]), "x", plane=corners, extent=(-2, 2, -2, 2)).axes[0])
    assert np.abs(marked).max() < 0.06  # the first value, the bowl's centre, is the plane's origin


def test_several_energies_share_one_scale_of_colour():
    figure = landscapes({"low": lambda x: x.square().sum(-1), "high": lambda x: 10 + x.square().sum(-1)}, "x")
    scales = {tuple(axes.collections[0].get_clim()) for axes in figure.axes[:2]}
    assert len(scales) == 1
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["low", "high"]


def test_a_variable_of_one_number_is_a_curve():
    figure = landscape(lambda x: (x[:, 0] - 1) ** 2, "x", data=torch.tensor([[0.0], [2.0]]), unit="nats")
    places, heights = figure.axes[0].get_lines()[0].get_data()
    assert abs(places[np.argmin(heights)] - 1) < 0.05
    assert figure.axes[0].get_ylabel() == "energy (nats)"


@pytest.mark.parametrize("steps", [(7, 2), (7, 3, 2)])
def test_paths_of_a_solver_are_drawn_one_by_one(steps):
    figure = landscape(Bowls([[0.0, 0.0]]), "x", trajectories=torch.zeros(*steps), extent=(-1, 1, -1, 1), minima=False)
    drawn = [line for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 7]
    assert len(drawn) == 2 * (1 if len(steps) == 2 else 3)  # each has a dark rim


def test_a_high_wall_does_not_take_all_colours():
    walls = np.linspace(0, 1, 1000)
    walls[-3:] = 1e6
    levels, capped = _levels([walls], None)
    assert capped
    assert levels[-1] < 2


def test_a_plain_has_no_low_point():
    places = np.linspace(-1, 1, 40)
    assert len(_low_points(np.zeros((40, 40)), places, places, np.array([0.0, 1.0]))) == 0


def test_a_constant_energy_and_one_that_is_infinite_in_places_are_drawn():
    landscape(lambda x: torch.zeros(len(x)), "x").savefig("/dev/null", format="svg")
    landscape(lambda x: torch.where(x[:, 0] > 0, x[:, 1], torch.inf), "x").savefig("/dev/null", format="svg")


@pytest.mark.parametrize(
    ("energy", "options", "sentence"),
    [
        (lambda x: x.sum(), {}, "wanted one energy a point"),
        (lambda x: torch.full((len(x),), torch.nan), {}, "not finite anywhere"),
        (lambda x: x.sum(-1), {"extent": (1, 0, 0, 1)}, "left < right"),
        (lambda x: x.sum(-1), {"plane": torch.zeros(2, 5)}, "three values"),
        (lambda x: x.sum(-1), {"plane": torch.arange(15.0).reshape(3, 5)}, "one line"),
        (lambda x: x.sum(-1), {"data": torch.zeros(4, 2), "labels": [0, 1]}, "one a point"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(energy, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        landscape(energy, "x", **options)


def test_an_energy_of_labels_has_no_landscape():
    energy = Bowls([[0.0]])
    energy.spaces = {"y": __import__("lowland.spaces").spaces.Categorical(3)}
    with pytest.raises(UsageError, match="real numbers"):
        landscape(energy, "y")
