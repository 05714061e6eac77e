"""Coherence sees through shifts, features keep signs apart, and codes are searched at a rate that is safe."""

import pytest
import torch

from lowland.nets import ConvolutionalLISTA
from lowland.system import find
from lowland.systems.unsupervised import convolutional_sparse_autoencoder as system


def test_a_moved_filter_is_a_double():
    filters = torch.zeros(3, 1, 9, 9)
    filters[0, 0, 2:5, 2:5] = torch.randn(3, 3)
    filters[1, 0, 4:7, 1:4] = -2 * filters[0, 0, 2:5, 2:5]  # elsewhere, longer and of the other sign
    filters[2, 0, 4, 4] = 1.0
    found = system.coherence(filters)
    torch.testing.assert_close(found[:2], torch.ones(2))
    assert found[2] < 1 - 1e-3


def test_features_keep_what_is_negative_apart():
    config = find("convolutional_sparse_autoencoder").configure("smoke")
    energy = system.build(config)["colour"]
    x = torch.randn(3, 3, 32, 32)
    there, turned = (system.features(energy, sign * x, config) for sign in (1, -1))
    assert there.shape == (3, 2 * config.colour_filters * config.pooled**2)
    torch.testing.assert_close(there.roll(there.shape[1] // 2, 1), turned)  # LISTA is odd


def test_lista_begins_near_its_decoder():
    encoder = ConvolutionalLISTA(3, 4, 9, 1)
    energy = system.convolutional(3, 4, 20, 0.2, 1.0, encoder)
    pieces = torch.randn(6, 3, 20, 20)
    system._start(energy, pieces, 0.2)
    torch.testing.assert_close(encoder.A.flip(2, 3), system._decoder(energy).W)
    found = system.predicted(energy, pieces)
    assert found["more_energy"] > 0 and 0 < found["nonzeros"] < 100


def test_whitened_colours_are_nearly_independent():
    generator = torch.Generator().manual_seed(0)
    grey = torch.randn(60, 1, 32, 32, generator=generator).cumsum(2).cumsum(3)
    x = grey + 0.3 * torch.randn(60, 3, 32, 32, generator=generator).cumsum(2).cumsum(3)
    whiten = system._colour_whitening(x, generator)
    found = whiten(x)
    torch.testing.assert_close(found.std(), torch.tensor(1.0), atol=1e-4, rtol=0)

    def alike(images):
        return torch.corrcoef(images.transpose(0, 1).flatten(1))[0, 1].abs()

    assert alike(found) < 0.5 * alike(x)


def test_guesses_begin_as_large_as_codes():
    config = find("convolutional_sparse_autoencoder").configure("smoke")
    energy, y = system.build(config)["grey_64"], 3 * torch.randn(20, 1, system.GREY, system.GREY)
    system._start(energy, y, config.weight)
    guess = system._encoder(energy)(y).detach()
    codes = system.best(energy, y, torch.zeros_like(guess), 100).value.detach()
    assert codes.count_nonzero() and guess.norm() == pytest.approx(
        ((guess * codes).sum() / guess.norm()).item(), rel=1e-3
    )


def test_edges_count_and_noise_does_not():
    places = torch.arange(9.0) - 4
    envelope = torch.exp(-(places[:, None].square() + places.square()) / 8)
    edge, noise = envelope * torch.sin(1.2 * places), torch.randn(9, 9, generator=torch.Generator().manual_seed(0))
    assert system.oriented(torch.stack([edge, noise])[:, None]) == 50
