"""What every test gets: checked shapes, the same random numbers each time, one thread, data sets or a skip."""

import os
import random
import zlib

os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

# Before anything imports the package. The "tower": where a float is wanted an int will do.
install_import_hook("lowland", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import hypothesis
import numpy as np
import pytest
import torch

pytest_plugins = ["pytester"]

torch.set_num_threads(1)  # sums in one order on every machine, and no fight over cores between workers

SEED = os.environ.get("SEED", "0")


class _TorchRandom:
    """Lets hypothesis put torch's random numbers back after each example, as it does for Python's and numpy's."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


_torch_random = _TorchRandom()  # hypothesis keeps a weak reference
hypothesis.register_random(_torch_random)
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=50, database=None)
hypothesis.settings.register_profile("roam", deadline=None, max_examples=200, print_blob=True)
hypothesis.settings.load_profile("roam" if SEED == "all" else "fixed")


@pytest.fixture(autouse=True)
def seed(request: pytest.FixtureRequest) -> int:
    """The number every random stream of this test starts from: 0, that of ``SEED=…``, or a new one for ``SEED=all``."""
    value = zlib.crc32(os.urandom(8)) if SEED == "all" else int(SEED)
    request.node.user_properties.append(("seed", value))
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 - libraries under test still draw from it
    torch.manual_seed(value)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    drawn = dict(item.user_properties).get("seed")
    if report.failed and drawn is not None:
        report.sections.append(("replay", f"SEED={drawn} pytest '{item.nodeid}'"))
    return report


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are called by their argument: an archive holds the time it was made, and workers must agree on names."""
    return argname if isinstance(val, bytes) else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """``@pytest.mark.data("mnist")`` skips, with a sentence, where the machine has no such data set."""
    from lowland.data.fetch import folders

    for marker in item.iter_markers("data"):
        for name in marker.args:
            if not any((folder / name).is_dir() for folder in folders()):
                pytest.skip(f"data set {name!r} is not on this machine: `lowland data {name}` fetches it")
