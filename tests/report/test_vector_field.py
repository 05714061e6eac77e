import numpy as np
import pytest
import torch
from matplotlib.quiver import Quiver

from lowland.errors import UsageError
from lowland.report import vector_field


def arrows(axes):
    (quiver,) = [artist for artist in axes.get_children() if isinstance(artist, Quiver)]
    return quiver


def test_arrows_point_where_points_are_sent():
    figure = vector_field(lambda x: 0.99 * x, data=torch.randn(50, 2), extent=(-2, 2, -2, 2), resolution=5)
    quiver = arrows(figure.axes[0])
    np.testing.assert_allclose(quiver.U, -0.01 * quiver.X, atol=1e-6)
    np.testing.assert_allclose(quiver.V, -0.01 * quiver.Y, atol=1e-6)


def test_long_arrows_are_cut_and_their_colour_says_how_long_they_are():
    figure = vector_field({"far": lambda x: x + 100}, data=torch.randn(50, 2), extent=(-2, 2, -2, 2), resolution=5)
    quiver = arrows(figure.axes[0])
    assert np.hypot(quiver.U, quiver.V).max() < 1
    np.testing.assert_allclose(quiver.get_array(), 100 * 2**0.5, rtol=1e-5)
    assert figure.axes[0].get_title(loc="left") == "far"


def test_longer_events_are_drawn_on_the_plane_of_the_data():
    data = torch.randn(60, 3) * torch.tensor([5.0, 2.0, 0.1])
    figure = vector_field({"a": lambda x: x, "b": lambda x: 0 * x}, data=data)
    assert np.abs(arrows(figure.axes[0]).U).max() < 1e-5
    assert "1st principal direction" in figure.axes[0].get_xlabel()


def test_what_is_no_move_is_refused():
    with pytest.raises(UsageError, match="wanted moved points of shape"):
        vector_field(lambda x: x.sum(-1), data=torch.randn(50, 2))
    with pytest.raises(UsageError, match="at least one move"):
        vector_field({}, data=torch.randn(50, 2))
