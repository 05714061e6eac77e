"""Runs of drivers who follow, held to the pair they are cut from."""

import torch

from lowland.data.following import constant_speed, following_runs, made_up_pair


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
