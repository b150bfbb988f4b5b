"""Resampling keeps what is below both Nyquist frequencies, in whole signals and in streams."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.resample import Resampler, resample
from engine.errors import UsageError


def tone(hz: float, rate: int, seconds: float = 0.5) -> NDArray[np.int16]:
    samples = np.arange(int(rate * seconds))
    wave: NDArray[np.float64] = np.sin(2 * np.pi * hz * samples / rate)
    return np.rint(wave * 8_000).astype(np.int16)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8_000, 16_000), (22_050, 8_000), (48_000, 8_000)])
def test_a_tone_stays_a_tone(from_hz: int, to_hz: int) -> None:
    got, want = resample(tone(440, from_hz), from_hz, to_hz), tone(440, to_hz)
    assert abs(len(got) - len(want)) <= 1
    middle = slice(400, 3_000)
    assert np.abs(got[middle].astype(int) - want[middle]).max() <= 8


def test_what_does_not_fit_is_removed_not_folded() -> None:
    assert np.abs(resample(tone(6_000, 48_000), 48_000, 8_000)[200:-200]).max() <= 8


@pytest.mark.parametrize("step", [7, 160, 441, 100_000])
def test_a_stream_equals_the_whole(step: int) -> None:
    pcm = tone(700, 22_050)
    stream = Resampler(22_050, 8_000)
    for _ in range(2):
        pieces = [stream.push(pcm[i : i + step]) for i in range(0, len(pcm), step)]
        assert np.array_equal(np.concatenate([*pieces, stream.finish()]), resample(pcm, 22_050, 8_000))


def test_stereo_silence_and_loudness() -> None:
    stereo = np.stack([tone(440, 16_000), np.zeros(8_000, np.int16)], axis=1)
    out = resample(stereo, 16_000, 8_000)
    assert out.shape == (4_000, 2)
    assert not out[:, 1].any(), "digital silence stays digital silence"
    square = np.where(np.arange(4_000) % 80 < 40, 32_767, -32_768).astype(np.int16)
    loud = resample(square, 8_000, 16_000)
    assert (loud.max(), loud.min()) == (32_767, -32_768), "overshoot is clipped, not wrapped"


def test_same_rate_and_nothing() -> None:
    pcm = tone(440, 8_000)
    assert np.array_equal(resample(pcm, 8_000, 8_000), pcm)
    assert np.array_equal(Resampler(8_000, 8_000).push(pcm), pcm)
    assert Resampler(8_000, 8_000).finish().size == 0
    assert resample(pcm[:0], 8_000, 16_000).size == 0


def test_impossible_rates() -> None:
    with pytest.raises(UsageError, match="must be positive"):
        resample(tone(440, 8_000), 8_000, 0)
    with pytest.raises(UsageError, match="must be positive"):
        Resampler(-1, 8_000)
