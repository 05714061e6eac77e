import numpy as np
import pytest

from lowland.errors import UsageError
from lowland.report import confusion


def test_confusions_colour_mistakes_alone():
    axes = confusion([[9, 1], [0, 10]], ["cat", "dog"]).axes[0]
    diagonal, mistaken = axes.get_images()
    assert np.asarray(diagonal.get_array()).tolist() == [[1, 0], [0, 1]]
    assert np.isfinite(np.ma.filled(mistaken.get_array(), np.nan)).tolist() == [[False, True], [False, False]]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "10", "9"]
    with pytest.raises(UsageError, match="square"):
        confusion(np.zeros((2, 3)))
    with pytest.raises(UsageError, match="2 labels"):
        confusion(np.zeros((2, 2)), ["a"])
