"""Log-mel energies: a tone lands in its band, loudness does not matter, padding does not either."""

import math

import pytest
import torch

from lowland.errors import SpaceError
from lowland.nets.filter_bank import FilterBank, mel_triangles

BANK = FilterBank(8000)


def tone(frequency: float, samples: int = 4000) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(samples) / 8000)[None]


def test_triangles_cover_the_spectrum_evenly():
    triangles = mel_triangles(8000, 256, 20, 80.0)
    inside = triangles.sum(0)[torch.linspace(0, 4000, 129).gt(200) & torch.linspace(0, 4000, 129).lt(3500)]
    torch.testing.assert_close(inside, torch.ones_like(inside))


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_own_band(frequency):
    sound = torch.cat([tone(frequency), 1e-3 * torch.randn(1, 4000)], 1)
    energies = BANK(sound, torch.tensor([8000]))[0, : BANK.bands, 20]
    triangles = mel_triangles(8000, 256, 32, 80.0)
    assert energies.argmax() == triangles[:, round(frequency / 8000 * 256)].argmax()


def test_loudness_is_taken_off():
    sound, length = torch.randn(1, 4000) * torch.linspace(0.1, 1, 4000), torch.tensor([4000])
    torch.testing.assert_close(BANK(sound, length), BANK(0.1 * sound, length), atol=1e-3, rtol=1e-3)


def test_padding_changes_nothing():
    sound, length = torch.randn(1, 4000), torch.tensor([4000])
    alone = BANK(sound, length)
    padded = BANK(torch.cat([sound, torch.randn(1, 1600)], 1), length)
    frames = int(BANK.frames(length))
    assert alone.shape[2] == frames
    torch.testing.assert_close(padded[..., :frames], alone, atol=1e-4, rtol=1e-4)
    assert padded[..., frames:].abs().max() == 0


def test_too_many_bands_are_refused():
    with pytest.raises(SpaceError, match="200 bands are too many"):
        FilterBank(8000, bands=200)
