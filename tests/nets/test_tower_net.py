"""The nets that look at towers."""

import torch

from lowland.nets import MapGuess, MapHead, OutcomeHead, TowerMap, TowerTrunk


def test_shapes_follow_the_side_of_the_picture():
    trunk = TowerTrunk((4, 6, 8))
    x = torch.rand(5, 3, 48, 48)
    maps = trunk(x)
    assert maps.shape == (5, 8, 6, 6)
    assert OutcomeHead(8 * 36, 3)(maps).shape == (5, 3)
    assert TowerMap(trunk, MapHead((4, 8), 6, 4))(x).shape == (5, 4, 24, 24)


def test_z_moves_what_is_drawn_and_the_guess_sees_the_map():
    z, x = torch.randn(2, 3, 2), torch.rand(3, 3, 48, 48)
    net = TowerMap(TowerTrunk((4, 6, 8)), MapHead((4, 8), 6, 4, z=2)).eval()
    assert not torch.allclose(net(x, z[0]), net(x, z[1]))
    guess = MapGuess(4, 24, 2)
    y = torch.randint(4, (3, 24, 24))
    assert guess(x, y).shape == (3, 4)
    assert not torch.allclose(guess(x, y), guess(x, y.flip(0)))
