"""Sound as the ear hears it: the energy in bands of equal width on the mel scale, in logarithms, and how fast it changes.

    mel(f) = 2595 log₁₀(1 + f / 700 Hz)

Each band is a triangle over the power spectrum of a short window. The mean over the recording is taken off each band, and
with it what microphone and loudness add; a regression over five frames gives the slope, the sound before and after being its mean.

Sources: Davis & Mermelstein, IEEE Trans. ASSP 28 (1980); Furui, IEEE Trans. ASSP 34 (1986), for the slopes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ..errors import SpaceError

SLOPE = (-0.2, -0.1, 0.0, 0.1, 0.2)  # least squares through five frames
SCALE = 3.0  # logarithms of the energies of speech spread about as much
SILENCE = 1e-8  # power of digital silence, for waves between −1 and 1


class FilterBank(nn.Module):
    """Waves → log-mel energies and their slopes.

    Args:
        rate: Samples per second.
        bands: How many bands.
        window: Length of the window, in seconds.
        hop: From one window to the next, in seconds.
        low: Lower end of the first band, in hertz.

    Raises:
        SpaceError: If a band would be narrower than what the window resolves.
    """

    triangles: Tensor
    window: Tensor

    def __init__(self, rate: int, bands: int = 32, window: float = 0.025, hop: float = 0.01, low: float = 80.0) -> None:
        super().__init__()
        self.bands = bands
        self.hop = round(hop * rate)
        size = round(window * rate)
        self.points = 2 ** math.ceil(math.log2(size))
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        triangles = mel_triangles(rate, self.points, bands, low)
        if bool((triangles.sum(1) == 0).any()):
            raise SpaceError(
                f"FilterBank: {bands} bands are too many for windows of {window} s at {rate} samples per second; take fewer."
            )
        self.register_buffer("triangles", triangles, persistent=False)

    def frames(self, length: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """How many frames waves of so many samples have."""
        return length // self.hop + 1

    def forward(self, x: Float[Tensor, "N T"], length: Int64[Tensor, " N"]) -> Float[Tensor, "N C F"]:
        """Energies and slopes, ``C = 2 · bands``; 0 after the end of each wave.

        Args:
            x: Waves between −1 and 1; what comes after their ends is not heard.
            length: Samples of each.
        """
        x = x * (torch.arange(x.shape[1], device=x.device) < length[:, None])
        spectrum = torch.stft(
            x, self.points, self.hop, len(self.window), self.window, pad_mode="constant", return_complex=True
        )
        energies = (self.triangles @ spectrum.abs().square() + SILENCE).log()
        frames = self.frames(length)[:, None, None]
        there = torch.arange(energies.shape[2], device=x.device) < frames
        mean = (energies * there).sum(2, keepdim=True) / frames
        centred = (energies - mean) * there
        slopes = nn.functional.conv1d(
            centred.flatten(0, 1).unsqueeze(1), centred.new_tensor([[SLOPE]]), padding=2
        ).view_as(centred)
        return torch.cat([centred / SCALE, slopes], 1) * there


def mel_triangles(rate: int, points: int, bands: int, low: float) -> Float[Tensor, "M K"]:
    """The weight of each of the K = points/2 + 1 frequencies in each of M bands, from ``low`` to half the rate."""
    start, end = (2595 * math.log10(1 + frequency / 700) for frequency in (low, rate / 2))
    edges = 700 * (10 ** (torch.linspace(start, end, bands + 2) / 2595) - 1)
    frequencies = torch.linspace(0, rate / 2, points // 2 + 1)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((frequencies - left) / (middle - left), (right - frequencies) / (right - middle)).clamp_min(0)
