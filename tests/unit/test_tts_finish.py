"""The telephone finish: level, edges, silence; on synthetic sound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio.g711 import ulaw_to_pcm
from engine.providers.tts.finish import CLAUSE_TAIL_MS, SENTENCE_TAIL_MS, finish

RATE = 22_050


def tone(level: float, *, lead_ms: int = 0, ms: int = 500, tail_ms: int = 0) -> NDArray[np.float32]:
    """A 440 Hz tone between silences, at RATE."""
    samples = np.zeros(RATE * (lead_ms + ms + tail_ms) // 1000, np.float32)
    start, count = RATE * lead_ms // 1000, RATE * ms // 1000
    samples[start : start + count] = level * np.sin(2 * np.pi * 440 * np.arange(count) / RATE)
    return samples


def loud_ms(audio: bytes) -> tuple[float, float]:
    """Milliseconds before the first and after the last sample above -50 dBFS."""
    loud = np.flatnonzero(np.abs(ulaw_to_pcm(audio).astype(int)) > 104)
    return float(loud[0]) / 8, (len(audio) - 1 - float(loud[-1])) / 8


@pytest.mark.parametrize(
    ("text", "tail_ms"), [("one,", CLAUSE_TAIL_MS), ("one.", SENTENCE_TAIL_MS), ('"one!"', 100)]
)
@pytest.mark.parametrize("silence_ms", [0, 3, 400])
def test_silence_is_trimmed_in_front_and_set_behind(text: str, tail_ms: int, silence_ms: int) -> None:
    audio = finish([tone(0.3, lead_ms=silence_ms, tail_ms=silence_ms)], RATE, text)
    before, after = loud_ms(audio)
    assert before <= 11
    assert tail_ms - 1 <= after <= tail_ms + 12


@pytest.mark.parametrize("level", [0.05, 0.3, 1.0])
def test_every_voice_comes_out_at_one_level(level: float) -> None:
    pcm = ulaw_to_pcm(finish([tone(level)], RATE, "one,"))[:4000] / 32_768
    assert 20 * np.log10(np.sqrt(np.mean(pcm**2))) == pytest.approx(-20, abs=0.7)


def test_a_peak_is_not_clipped() -> None:
    spiky = tone(0.02)
    spiky[RATE // 4] = 1.0
    assert np.abs(ulaw_to_pcm(finish([spiky], RATE, "one,")).astype(int)).max() < 30_000


def test_both_ends_are_faded() -> None:
    pcm = np.abs(ulaw_to_pcm(finish([tone(0.3)], RATE, "one,")).astype(int))
    assert pcm.max() > 4000
    assert pcm[:4].max() < 700
    assert pcm[-(CLAUSE_TAIL_MS * 8) - 4 :].max() < 700


def test_sentences_are_apart_by_a_pause() -> None:
    one, two = finish([tone(0.3)], RATE, "a."), finish([tone(0.3), tone(0.3)], RATE, "a. b.")
    assert len(two) == 2 * len(one) - 8 * SENTENCE_TAIL_MS + 8 * 200


@pytest.mark.parametrize(
    "samples", [np.zeros(0, np.float32), np.zeros(5000, np.float32), tone(1e-5), tone(0.5, ms=1)]
)
def test_silence_and_less_than_a_frame_are_nothing(samples: NDArray[np.float32]) -> None:
    assert len(finish([samples], RATE, "...")) < 8 * 100


def test_no_sentence_is_no_audio() -> None:
    assert finish([], RATE, "...") == b""
    assert finish([np.zeros(5000, np.float32)], RATE, "...") == b""
