"""WAV files of every common kind, and what is wrong with others."""

import io

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from lowland.data.sound import decode_wav, read_wav, sound_folder
from lowland.errors import DataError


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    wavfile.write(out, rate, samples)
    return out.getvalue()


SINE = np.sin(2 * np.pi * 440 * np.arange(1600) / 8000)


@pytest.mark.parametrize(
    "samples",
    [
        (SINE * 32767).astype(np.int16),
        (SINE * 2147483647).astype(np.int32),
        (SINE * 127 + 128).round().astype(np.uint8),
        SINE.astype(np.float32),
        np.stack([SINE, SINE], 1).astype(np.float32),
    ],
    ids=["16 bit", "32 bit", "8 bit", "float", "stereo"],
)
def test_every_format_gives_the_same_wave(samples):
    wave = decode_wav(wav(samples), "a.wav", 8000)
    assert wave.dtype == torch.float32
    torch.testing.assert_close(wave, torch.from_numpy(SINE).float(), atol=0.02, rtol=0)


def test_another_rate_is_changed():
    faster = np.sin(2 * np.pi * 440 * np.arange(8820) / 44100).astype(np.float32)
    wave = decode_wav(wav(faster, 44100), "a.wav", 8000)
    assert len(wave) == 1600
    torch.testing.assert_close(wave[100:-100], torch.from_numpy(SINE).float()[100:-100], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"hello" * 50, wav(np.zeros(0, np.int16)), wav(np.array([np.nan], np.float32)), wav(SINE)[:700]],
)
def test_what_is_no_recording_is_refused(content):
    with pytest.raises(DataError, match=r"a\.wav: wanted a WAV file"):
        decode_wav(content, "a.wav", 8000)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.wav: cannot be opened"):
        read_wav(tmp_path / "none.wav", 8000)


def test_a_folder_with_a_list(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").write_bytes(wav((SINE * 1000).astype(np.int16)))
    listing = tmp_path / "labels.csv"
    listing.write_text("file,word,speaker\na.wav,yes,ann\nb.wav,no,bob\n")
    found = sound_folder(tmp_path, 8000)
    assert found["classes"] == ("no", "yes") and found["y"].tolist() == [1, 0] and found["speaker"].tolist() == [0, 1]
    listing.write_text("a.wav,yes,ann\nb.wav,no\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 2: wanted file,word,speaker"):
        sound_folder(tmp_path, 8000)
    listing.write_text("c.wav,yes,ann\n")
    with pytest.raises(DataError, match=r"c\.wav: cannot be opened"):
        sound_folder(tmp_path, 8000)
