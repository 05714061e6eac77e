import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from lowland.errors import UsageError
from lowland.report import filters, images, mistakes
from lowland.report.style import UNKNOWN


def sheet(figure):
    """The one image of a sheet, ``(H, W, 4)`` in [0, 255]."""
    (drawn,) = figure.axes[0].get_images()
    return np.asarray(drawn.get_array())


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_images_lie_in_reading_order_with_the_given_limits():
    shades = torch.arange(6.0)[:, None, None].expand(6, 4, 4) / 5
    drawn = sheet(images(shades, columns=3, limits=(0, 1)))
    assert drawn.shape[:2] == (2 * 4 + 1, 3 * 4 + 2)
    corners = [drawn[row, column, 0] for row in (0, 5) for column in (0, 5, 10)]
    assert corners == [0, 51, 102, 153, 204, 255]
    assert (drawn[4] == 0).all()  # gaps are transparent


def test_a_pixel_that_is_not_known_is_pale_blue():
    picture = torch.zeros(1, 4, 4)
    picture[0, 0, 0] = torch.nan
    drawn = sheet(images(picture))
    assert np.allclose(drawn[0, 0, :3] / 255, to_rgb(UNKNOWN), atol=0.01)
    assert (drawn[1, 1, :3] == 0).all()


def test_colours_stay_colours():
    picture = torch.zeros(1, 3, 2, 2)
    picture[0, 2] = 1
    assert sheet(images(picture))[0, 0].tolist() == [0, 0, 255, 255]


def test_rows_and_columns_have_names():
    figure = images([torch.zeros(3, 4, 4), torch.zeros(2, 4, 4)], ["a", "b", "c"], rows=["above", "below"])
    assert sorted(texts(figure)) == ["a", "above", "b", "below", "c"]


def test_filters_are_white_at_zero_red_above_and_blue_below():
    weights = np.zeros((2, 9))
    weights[0, 0], weights[0, 1], weights[1, 0] = 2.0, -2.0, 0.01
    drawn = sheet(filters(weights, columns=2)).astype(int)
    positive, negative, zero, small = drawn[0, 0], drawn[0, 1], drawn[1, 1], drawn[0, 4]
    assert positive[0] > positive[2] + 50
    assert negative[2] > negative[0] + 50
    assert zero[:3].min() > 240
    assert (small == positive).all()  # each has its own scale ...
    assert sheet(filters(weights, columns=2, each=False))[0, 4, 1] > 230  # ... unless they share one


def test_the_nearest_mistakes_come_first():
    pictures = torch.arange(4.0)[:, None, None].expand(4, 2, 2)
    energies = torch.tensor([[0.0, 5.0], [1.0, 1.5], [3.0, 0.0], [0.0, 1.0]])
    wanted, got = [1, 1, 1, 1], energies.argmin(1)
    figure = mistakes(pictures, wanted, got, energies, labels=["cat", "dog"])
    assert texts(figure) == ["dog → cat (0.5)", "dog → cat (1)", "dog → cat (5)"]
    assert texts(mistakes(pictures, wanted, got, energies, count=1)) == ["1 → 0 (0.5)"]


def test_no_mistake_is_said_so():
    assert texts(mistakes(torch.zeros(3, 2, 2), [0, 1, 2], [0, 1, 2])) == ["No mistake among 3."]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: images(torch.zeros(4, 4)), "got \\(4, 4\\)"),
        (lambda: images(torch.zeros(0, 4, 4)), "at least one"),
        (lambda: images(torch.zeros(4, 4, 4), ["a", "b", "c"]), "4 titles"),
        (lambda: images([torch.zeros(4, 4, 4)], rows=["a", "b"]), "1 names of rows"),
        (lambda: filters(torch.zeros(4, 5)), "H = W"),
        (lambda: mistakes(torch.zeros(2, 4, 4), [0], [1, 2]), "as many"),
    ],
)
def test_what_is_no_image_is_refused(call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call()
