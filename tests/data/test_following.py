"""Runs of drivers who follow, held to the pair they are cut from."""

import pytest
import torch

from lowland.data.following import constant_speed, following_runs, made_up_pair, read_pairs
from lowland.errors import DataError


def test_runs_are_those_of_the_pair():
    pair = made_up_pair(5)
    runs = following_runs([pair])
    assert runs["s"].shape[1:] == (4,) and runs["a"].shape[1:] == (10, 1) and runs["y"].shape[1:] == (10, 4)
    torch.testing.assert_close(runs["y"][0, :, 0], pair[10:60:5, 0])
    torch.testing.assert_close(runs["s"][:, 2:3] + 0.5 * runs["a"].sum(1), runs["y"][:, -1, 2:3], atol=1e-4, rtol=0)
    assert len(following_runs([pair, pair])["s"]) == 2 * len(runs["s"])


def test_who_stays_as_fast_is_where_constant_speed_says():
    seconds, nothing = torch.arange(80) / 10, torch.zeros(80)
    leader = 10 + 0.3 * seconds.square()
    spacing = 20 + leader - 10 - 8 * seconds + 10 * seconds
    pair = torch.stack([spacing, 8 + nothing, nothing, 10 + 0.6 * seconds, 0.6 + nothing, leader], 1)
    runs = following_runs([pair])
    torch.testing.assert_close(constant_speed(runs), runs["y"][:, -1, 0], atol=1e-3, rtol=0)


def table(pair):
    lines = [f"{frame / 10},3,{row[0]},{row[1]},{row[3]}" for frame, row in enumerate(pair.tolist())]
    return ["time,pair,spacing,speed,leader_speed", *lines]


def test_pairs_of_a_file_give_the_runs_of_those_pairs(tmp_path):
    path, pair = tmp_path / "pairs.csv", made_up_pair(2)
    path.write_text("\n".join(table(pair)))
    (found,) = read_pairs(path)
    assert found.shape == pair.shape
    for ours, theirs in zip(following_runs([found]).values(), following_runs([pair]).values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda rows: rows[:50] + rows[51:], r"pair 3: wanted a frame every 0.1 s, got 0.20 s after 4.8 s"),
        (lambda rows: rows[:40], "wanted more than 55 frames, got 39"),
        (lambda rows: [*rows[:9], "0.8,3,nan,1,1", *rows[10:]], "not finite in row 9"),
        (lambda rows: [*rows[:9], "0.8,,1,1,1", *rows[10:]], "row 9 does not say of which pair"),
        (lambda rows: [rows[0].replace("leader_speed", "leader"), *rows[1:]], "there is no leader_speed"),
        (lambda rows: [*rows[:9], "0.8,3,far,1,1", *rows[10:]], "can't be read"),
    ],
)
def test_a_pair_that_is_not_whole_is_refused(tmp_path, spoil, complaint):
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(spoil(table(made_up_pair(2)))))
    with pytest.raises(DataError, match=complaint):
        read_pairs(path)
