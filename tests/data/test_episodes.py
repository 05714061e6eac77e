"""Recordings of what was done in an environment: what is read is what was written, and what is broken is named."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lowland.data import Episodes, join, read_episodes
from lowland.errors import DataError


def recording(lengths=(3, 1, 4)) -> Episodes:
    """States count up: a state is 100 × its episode + its step, an action a tenth of the step."""
    s = [100.0 * e + torch.arange(length + 1.0) for e, length in enumerate(lengths)]
    a = [torch.arange(length) / 10 for length in lengths]
    steps, count = sum(lengths), len(lengths)
    return Episodes(
        torch.cat(s).unsqueeze(-1),
        torch.cat(a).unsqueeze(-1),
        torch.ones(steps),
        torch.tensor(lengths),
        torch.zeros(count, dtype=torch.bool),
        {"environment": "Counting-v0"},
    )


def test_transitions_never_cross_from_one_episode_to_the_next():
    found = recording().transitions()
    assert (found["y"] - found["s"] == 1).all()
    assert found["s"].flatten().tolist() == [0, 1, 2, 100, 200, 201, 202, 203]


def test_windows_are_runs_inside_an_episode():
    found = recording().windows(3)
    assert found["s"].flatten().tolist() == [0, 200, 201]
    assert found["y"].squeeze(-1).tolist() == [[1, 2, 3], [201, 202, 203], [202, 203, 204]]
    torch.testing.assert_close(found["a"].squeeze(-1)[2], torch.tensor([0.1, 0.2, 0.3]))
    with pytest.raises(DataError, match="longest episode has 4"):
        recording().windows(5)


def test_one_episode_alone():
    alone = recording().episode(2)
    assert alone.s.flatten().tolist() == [200, 201, 202, 203, 204] and len(alone.a) == 4
    assert recording().returns.tolist() == [3, 1, 4]


@pytest.mark.parametrize("name", ["one.safetensors", "one.npz"])
def test_what_is_read_is_what_was_written(tmp_path, name):
    written = recording()
    read = read_episodes(written.save(tmp_path / name))
    for part in ("s", "a", "reward", "lengths", "ended"):
        torch.testing.assert_close(getattr(read, part), getattr(written, part))
    assert name.endswith("npz") or read.about == {"environment": "Counting-v0"}


def test_a_folder_is_all_its_files_in_order(tmp_path):
    recording((2,)).save(tmp_path / "b.npz")
    recording((3, 1)).save(tmp_path / "a.safetensors")
    assert read_episodes(tmp_path).lengths.tolist() == [3, 1, 2]
    assert join(recording(), recording()).lengths.tolist() == [3, 1, 4, 3, 1, 4]


def test_a_broken_recording_is_named(tmp_path):
    good = recording()
    with pytest.raises(DataError, match="have 8 of a, got 7"):
        Episodes(good.s, good.a[1:], good.reward, good.lengths, good.ended)
    broken = good.s.clone()
    broken[7] = torch.nan
    with pytest.raises(DataError, match="s is not finite at step 1 of episode 2"):
        Episodes(broken, good.a, good.reward, good.lengths, good.ended)
    with pytest.raises(DataError, match="at least one step"):
        recording((2, 0))
    save_file({"s": good.s}, tmp_path / "short.safetensors")
    with pytest.raises(DataError, match=r"short.*no a, reward"):
        read_episodes(tmp_path / "short.safetensors")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match="text.npz"):
        read_episodes(tmp_path / "text.npz")
    with pytest.raises(DataError, match="found none"):
        read_episodes(tmp_path / "nowhere.d") if (tmp_path / "nowhere.d").mkdir() is None else None
    with pytest.raises(DataError, match="wanted a name"):
        good.save(tmp_path / "one.pickle")


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "evil.npz", s=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="evil"):
        read_episodes(tmp_path / "evil.npz")


def test_a_mask_chooses_episodes():
    found = recording().select(torch.tensor([True, False, True]))
    torch.testing.assert_close(found.s, torch.cat([recording().episode(0).s, recording().episode(2).s]))
    torch.testing.assert_close(found.reward, torch.cat([recording().episode(0).reward, recording().episode(2).reward]))


def test_a_gap_is_found_where_it_is():
    s = torch.stack([torch.arange(200.0) * 0.1, torch.zeros(200)], 1)
    steps = {
        "a": torch.zeros(198, 1),
        "reward": torch.zeros(198),
        "lengths": torch.tensor([99, 99]),
        "ended": torch.zeros(2) > 0,
    }
    s[100:] -= 10  # another episode may begin anywhere
    Episodes(s, **steps).check_jumps()
    s[150:] += 50
    with pytest.raises(DataError, match="step 49 of episode 1, by 50[01] times"):
        Episodes(s, **steps).check_jumps()
    Episodes(s, **steps).check_jumps(1000)
