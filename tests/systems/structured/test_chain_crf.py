"""What is particular to chains of characters; that the system runs at all is tested with the gallery."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lowland.energy import Chain
from lowland.errors import UsageError
from lowland.spaces import Real
from lowland.systems.structured.chain_crf import Config, Each, _distort, accuracy, build, read


def test_every_character_is_classified_alone_and_paper_costs_nothing():
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))
    x = torch.rand(2, 3, 3, 2) + 0.1
    x[1, 2] = 0
    energies = Each(net, 4)(x)
    torch.testing.assert_close(energies[0, 1], -net(x[0, 1:2])[0])
    assert energies[1, 2].tolist() == [0.0] * 4


def test_alone_means_that_neighbours_do_not_matter():
    model = build(Config())
    for name, energy in model.items():
        assert energy.transition.requires_grad == energy.initial.requires_grad == ("chain" in name)
    alone = model["words_linear_alone_likelihood"]
    x, length = torch.rand(4, 14, 16, 8), torch.full((4,), 14)
    got = (alone.minimize("y").answer(x=x, length=length)).argmax(-1)
    assert got.equal(alone.network(x).argmin(-1))


def test_a_chain_corrects_a_letter_that_its_neighbours_contradict():
    energy = Chain(3, 2, Each(nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)), 2), Real(3, 1, 2))
    with torch.no_grad():
        energy.network.classifier[1].weight.copy_(torch.eye(2))
        energy.transition.copy_(torch.tensor([[0.0, 3.0], [3.0, 0.0]]))  # the same again is likely
    x = torch.tensor([[[[2.0, 0.0]], [[0.0, 1.0]], [[2.0, 0.0]]]])
    batch = {"x": x, "length": torch.tensor([3]), "y": torch.tensor([[0, 0, 0]])}
    assert accuracy(energy, batch) == (100.0, 100.0)
    with torch.no_grad():
        energy.transition.zero_()
    letters, words = accuracy(energy, batch)
    assert letters == pytest.approx(200 / 3) and words == 0


def test_distortions_keep_paper_empty():
    x = torch.rand(2, 3, 16, 8)
    x[0, 2] = 0
    distorted = _distort(Config(), {"x": x}, torch.Generator().manual_seed(0))["x"]
    assert distorted[0, 2].abs().max() == 0 and not torch.allclose(distorted, x)


def test_a_folder_is_a_word(tmp_path):
    for place in range(3):
        Image.fromarray(np.full((32, 16), 255 - 40 * place, np.uint8)).save(tmp_path / f"{place}.png")
    values = read([str(tmp_path)], Config())
    assert values["x"].shape == (1, 14, 16, 8) and values["length"].tolist() == [3]
    for place in range(3, 15):
        Image.fromarray(np.zeros((32, 16), np.uint8)).save(tmp_path / f"{place}.png")
    with pytest.raises(UsageError, match="at most 14 letters"):
        read([str(tmp_path)], Config())
