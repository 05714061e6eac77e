"""The promises of conftest.py: fixed random numbers, a replay line, and skips that say why."""

import shutil
from pathlib import Path

import pytest

FAILING = """
    import torch
    def test_random():
        assert torch.rand(1).item() == 2.0
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of its own with our conftest and nothing else."""
    shutil.copy(Path(__file__).with_name("conftest.py"), pytester.path)
    return pytester


def run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, seed: str, code: str = FAILING) -> str:
    monkeypatch.setenv("SEED", seed)
    project.makepyfile(code)
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-rs").stdout.str()


def test_a_failure_says_how_to_replay_it(project, monkeypatch):
    assert "SEED=0 pytest 'test_a_failure_says_how_to_replay_it.py::test_random'" in run(project, monkeypatch, "0")


def test_the_seed_can_roam_and_be_given(project, monkeypatch):
    roaming = run(project, monkeypatch, "all")
    drawn = roaming.partition("SEED=")[2].split()[0]
    assert int(drawn) > 0

    def number(text: str) -> str:
        return text.partition("E       assert ")[2].split()[0]

    assert number(run(project, monkeypatch, drawn)) == number(roaming)
    assert number(run(project, monkeypatch, "0")) != number(roaming)


def test_an_absent_data_set_is_a_skip_with_a_sentence(project, monkeypatch, tmp_path):
    monkeypatch.setenv("LOWLAND_DATA", str(tmp_path))
    code = """
        import pytest
        @pytest.mark.data("no_such_set")
        def test_needs_data(): raise RuntimeError("ran")
    """
    text = run(project, monkeypatch, "0", code)
    assert "1 skipped" in text and "data set 'no_such_set' is not on this machine" in text
    (tmp_path / "no_such_set").mkdir()
    assert "1 failed" in run(project, monkeypatch, "0", code)


def test_types_and_shapes_are_checked():
    """Under pytest a wrong type or shape is an error at the call, wherever the package writes them."""
    import jaxtyping
    import torch

    from lowland.energy import LinearReconstruction

    with pytest.raises(jaxtyping.TypeCheckError):
        LinearReconstruction(3, 2).energies(y=torch.zeros(4, 3, dtype=torch.int64), z=torch.zeros(4, 2))
