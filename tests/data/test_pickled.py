"""Arrays come out of a pickle unchanged, and nothing else does."""

import pickle

import numpy as np
import pytest

from lowland.data.pickled import read_pickled
from lowland.errors import DataError


class Bomb:
    def __reduce__(self):
        return print, ("this must never be printed",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_arrays_of_numbers_are_read_as_numpy_reads_them(protocol):
    written = {
        "rows": [np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.ones(3, bool)],
        "big": np.arange(3, dtype=">i2"),
        "name": "letters",
    }
    read = read_pickled(pickle.dumps(written, protocol), "some.pickle")
    assert read["name"] == "letters" and read["big"].tolist() == [0, 1, 2]
    for one, other in zip(read["rows"], written["rows"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps(Bomb()), "names builtins.print"),
        (pickle.dumps({"x": [Bomb()]}), "names builtins.print"),
        (pickle.dumps(np.array([Bomb()], dtype=object), 2), "an array of 'O8'|names builtins.print"),
        (pickle.dumps(np.arange(6))[:-20], "pickle of arrays"),
        (b"", "pickle of arrays"),
        (b"hello", "pickle of arrays"),
    ],
)
def test_anything_else_is_refused_and_never_run(content, says, capsys):
    with pytest.raises(DataError, match=says) as error:
        read_pickled(content, "some.pickle")
    assert "some.pickle" in str(error.value)
    assert capsys.readouterr().out == ""
