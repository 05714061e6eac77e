"""What is particular to the multi-layer perceptrons; that the system runs at all is tested with the gallery."""

import math

import torch

from lowland.systems.perception.mlp import LIST, NextNumber, OneOneOne, _descents, _sequences, pi_digits


def test_digits_of_pi():
    assert "".join(map(str, pi_digits(50))) == "31415926535897932384626433832795028841971693993751"
    assert len(pi_digits(5300)) == 5300
    assert pi_digits(1001)[-10:] == [2, 1, 6, 4, 2, 0, 1, 9, 8, 9]


def test_the_saddle_of_the_1_1_1_network():
    energy = OneOneOne()
    curvature = torch.autograd.functional.hessian(lambda w: energy(w=w), torch.zeros(2))
    torch.testing.assert_close(torch.linalg.eigvalsh(curvature), torch.tensor([-1.0, 1.0]))
    assert energy(w=torch.tensor([[2.0, 0.5], [-1.0, -1.0]])).tolist() == [0.0, 0.0]


def test_descent_from_beside_the_saddle_ends_on_both_branches():
    paths, energies = _descents()
    assert energies[-1].max() < 1e-6
    assert (energies.diff(dim=0) <= 1e-6).all()
    products = paths[-1].prod(-1)
    torch.testing.assert_close(products, torch.ones_like(products), atol=1e-3, rtol=0)
    assert {math.copysign(1, first) for first in paths[-1, :, 0].tolist()} == {-1.0, 1.0}


def test_the_next_number_is_the_label_nearest_to_what_the_net_expects():
    energy = NextNumber(window=2, hidden=4, largest=9)
    x = torch.rand(6, 2)
    expected = energy.net(x / 10)[:, 0]
    table = energy.table("y", x=x)
    assert table.shape == (6, 10)
    torch.testing.assert_close(table, 0.5 * (torch.arange(10) - expected[:, None]).square())
    assert torch.equal(table.argmin(-1), expected.round().clamp(0, 9).long())


def test_sequences_hold_what_comes_before_each_number():
    found = _sequences()
    assert found["rule"]["learnt"]["x"][4].tolist() == [2, 4, 6]
    assert found["rule"]["learnt"]["y"][4] == 8
    assert found["rule"]["after"]["y"].tolist() == list(range(60, 100, 2))
    assert found["list"]["learnt"]["x"][0].tolist() == [-1, -1, -1]
    assert found["list"]["learnt"]["y"].tolist() == list(LIST)
    assert sorted(found["list"]["after"]["y"].tolist()) == sorted(LIST)
    assert (len(found["pi"]["learnt"]["y"]), len(found["pi"]["after"]["y"])) == (300, 5000)
