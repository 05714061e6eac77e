"""Strings of words put together from recordings of single ones: pauses or cross-fades between them, noise, loudness.

Every string is by one speaker, whose recordings are drawn with replacement. Nothing says where a word begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..errors import UsageError


@dataclass(frozen=True)
class Utterances:
    """How strings are put together.

    Attributes:
        rate: Samples per second.
        seconds: The longest string; words that would end later are left out.
        shortest: The fewest words.
        longest: The most words.
        pause: Between two words, in seconds, drawn evenly from this range; below 0 they overlap.
        margin: Silence before the first and after the last word: at most this, in seconds.
        fade: Each word rises and falls over this time, in seconds.
        loudness: Each word is made louder or softer by at most half of this, each string by at most this, in decibels.
        noise: White noise: its power below that of the string, in decibels, drawn evenly from this range.
    """

    rate: int = 8000
    seconds: float = 5.0
    shortest: int = 3
    longest: int = 7
    pause: tuple[float, float] = (-0.03, 0.3)
    margin: float = 0.25
    fade: float = 0.02
    loudness: float = 6.0
    noise: tuple[float, float] = (10.0, 40.0)

    @property
    def samples(self) -> int:
        """The longest string, in samples."""
        return round(self.seconds * self.rate)

    def draw(self, clips: Clips, first: Int64[Tensor, " N"], generator: torch.Generator) -> dict[str, Tensor]:
        """A string for each of some recordings: it comes first, others by the same speaker follow.

        Args:
            clips: The recordings.
            first: Which of them begin the strings.
            generator: Draws all the rest.

        Returns:
            ``x`` ``(N, samples)`` float32, ``length`` ``(N,)`` samples that are there, ``y`` ``(N, longest)`` the words,
            −1 after the last.
        """
        count, most, rate = len(first), self.longest, self.rate

        def even(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(*shape, generator=generator)

        chosen = torch.cat([first[:, None], clips.by_same_speaker(first, most - 1, generator)], 1)
        sizes = clips.sizes[chosen]
        spaced = sizes + (even(*self.pause, count, most) * rate).long()
        before = (even(0.0, self.margin, count, 1) * rate).long()
        starts = before + spaced.cumsum(1) - spaced
        ends = starts + sizes
        wanted = torch.randint(self.shortest, most + 1, (count, 1), generator=generator)
        fitting = (ends < self.samples).sum(1, keepdim=True).clamp_min(1)
        words = torch.minimum(wanted, fitting)
        used = torch.arange(most) < words
        after = (even(0.0, self.margin, count) * rate).long()
        length = (ends.gather(1, words - 1)[:, 0] + after).clamp_max(self.samples)

        wave, place = clips.pieces(chosen[used], round(self.fade * rate))
        loud = _ratio(even(-self.loudness / 2, self.loudness / 2, len(chosen[used])))
        row = torch.arange(count)[:, None] * self.samples
        target = (row + starts)[used].repeat_interleave(sizes[used]) + place
        inside = place + starts[used].repeat_interleave(sizes[used]) < self.samples
        x = torch.zeros(count * self.samples)
        x.index_add_(0, target[inside], (wave * loud.repeat_interleave(sizes[used]))[inside])
        x = x.view(count, self.samples)

        there = torch.arange(self.samples) < length[:, None]
        power = x.square().sum(1, keepdim=True) / length[:, None]
        noise = torch.randn(x.shape, generator=generator) * (power * _ratio(-even(*self.noise, count, 1)) ** 2).sqrt()
        x = (x + noise) * there * _ratio(even(-self.loudness, self.loudness, count, 1))
        return {"x": x, "length": length, "y": torch.where(used, clips.labels[chosen], -1)}


def _ratio(decibels: Tensor) -> Tensor:
    """Of amplitudes."""
    return 10 ** (decibels / 20)


@dataclass(frozen=True)
class Clips:
    """Recordings of single words, one after the other in a long wave.

    Attributes:
        wave: All of them.
        sizes: Samples of each.
        labels: The word of each.
        speakers: Who says it.
    """

    wave: Float[Tensor, " T"]
    sizes: Int64[Tensor, " N"]
    labels: Int64[Tensor, " N"]
    speakers: Int64[Tensor, " N"]
    starts: Int64[Tensor, " N"] = field(init=False, repr=False)

    @classmethod
    def of(cls, waves: Sequence[Tensor], labels: Tensor, speakers: Tensor) -> Clips:
        """From a list of waves.

        Raises:
            UsageError: There is none.
        """
        if not waves:
            raise UsageError("Clips: wanted at least one recording, got none.")
        return cls(torch.cat(list(waves)), torch.tensor([len(wave) for wave in waves]), labels, speakers)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", self.sizes.cumsum(0) - self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, rows: Tensor) -> Clips:
        """Some of them: a mask or indices."""
        rows = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        wave, _ = self.pieces(rows, 0)
        return Clips(wave, self.sizes[rows], self.labels[rows], self.speakers[rows])

    def by_same_speaker(
        self, rows: Int64[Tensor, " N"], count: int, generator: torch.Generator
    ) -> Int64[Tensor, "N count"]:
        """``count`` recordings drawn with replacement from those of the speaker of each row."""
        order = self.speakers.argsort(stable=True)
        each = self.speakers.bincount()
        before = each.cumsum(0) - each
        speaker = self.speakers[rows, None]
        place = (torch.rand(len(rows), count, generator=generator) * each[speaker]).long()
        return order[before[speaker] + place]

    def pieces(self, rows: Int64[Tensor, " M"], fade: int) -> tuple[Float[Tensor, " S"], Int64[Tensor, " S"]]:
        """The samples of some recordings, faded in and out over ``fade`` samples, and the place of each in its recording."""
        sizes = self.sizes[rows]
        place = torch.arange(int(sizes.sum())) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        wave = self.wave[self.starts[rows].repeat_interleave(sizes) + place]
        if fade:
            edge = torch.minimum(place + 1, sizes.repeat_interleave(sizes) - place)
            wave = wave * (edge / fade).clamp_max(1)
        return wave, place
