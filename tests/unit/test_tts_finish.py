"""The telephone finish: level, edges, silence, the same however sound comes; on synthetic sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio.g711 import ulaw_to_pcm
from engine.audio.playout import FRAME_SAMPLES
from engine.providers.tts.finish import CLAUSE_TAIL_MS, PEAK, SENTENCE_TAIL_MS, Finisher, Level

RATE = 22_050
Sound = NDArray[np.float32]


def finish(sentences: list[Sound], rate_hz: int, text: str, level: Level | None = None) -> bytes:
    """A piece whose sentences come whole."""
    finisher = Finisher(rate_hz, text, level or Level())
    audio = b"".join(finisher.push(samples) + finisher.next_sentence() for samples in sentences)
    return audio + finisher.end()


def dbfs(audio: bytes) -> float:
    """RMS of its first half second."""
    return float(20 * np.log10(np.sqrt(np.mean((ulaw_to_pcm(audio)[:4000] / 32_768) ** 2))))


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
    assert tail_ms - 1 <= after <= tail_ms + 12 + 20
    assert len(audio) % FRAME_SAMPLES == 0


@pytest.mark.parametrize("level", [0.05, 0.3, 1.0])
def test_every_voice_comes_out_at_one_level(level: float) -> None:
    assert dbfs(finish([tone(level)], RATE, "one,")) == pytest.approx(-20, abs=0.7)


def test_a_peak_is_bent_and_not_clipped() -> None:
    spiky = tone(0.02)
    spiky[RATE // 4 : RATE // 4 + 8] = np.linspace(0.2, 1.0, 8)
    pcm = np.abs(ulaw_to_pcm(finish([spiky], RATE, "one,")).astype(int))
    assert 0.6 * 32_768 < pcm.max() < PEAK * 32_768


def test_a_voice_s_level_is_that_of_what_it_has_said_and_moves_slowly() -> None:
    level = Level()
    assert level.gain is None
    for _ in range(20):
        finish([tone(0.3, ms=1500)], RATE, "one,", level)
    known = level.gain
    assert known is not None
    assert dbfs(finish([tone(0.15)], RATE, "one,", level)) == pytest.approx(-26, abs=0.7), (
        "a quiet word stays one"
    )
    after = level.gain
    assert after is not None
    assert 1 < after / known < 1.03
    for _ in range(60):
        finish([tone(0.15, ms=1500)], RATE, "one,", level)
    assert dbfs(finish([tone(0.15)], RATE, "one,", level)) == pytest.approx(-20, abs=1)


def test_a_gain_does_not_change_inside_a_piece() -> None:
    level = Level()
    finish([tone(0.3)], RATE, "one,", level)
    finisher = Finisher(RATE, "one,", level)
    audio = finisher.push(tone(0.05)) + finisher.next_sentence()
    finish([tone(0.01, ms=5000)], RATE, "another piece at the same time", level)
    audio += finisher.push(tone(0.05)) + finisher.end()
    half = len(audio) // 2
    assert dbfs(audio[80:]) == pytest.approx(dbfs(audio[half + 800 :]), abs=0.5)


def test_too_little_says_nothing_of_a_voice() -> None:
    level = Level()
    finish([tone(0.9, ms=30)], RATE, "tick", level)
    assert level.gain is None


def test_audio_comes_as_soon_as_the_level_is_known() -> None:
    level, sound = Level(), tone(0.3, ms=250)
    assert Finisher(RATE, "one,", level).push(tone(0.3, ms=150)) == b"", "200 ms are measured first"
    assert len(Finisher(RATE, "one,", level).push(sound)) >= 8 * 180
    finish([tone(0.3)], RATE, "one,", level)
    assert len(Finisher(RATE, "one,", level).push(sound[: RATE // 10])) >= 8 * 40


segments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 1e-4, 0.004, 0.02, 0.3, 1.0]), st.integers(1, 3000)), max_size=6
)


def sound(parts: list[tuple[float, int]]) -> Sound:
    """Noise of these levels and lengths (samples), the same every time."""
    noise = np.random.default_rng(1).uniform(-1, 1, sum(count for _, count in parts))
    levels = np.repeat([level for level, _ in parts], [count for _, count in parts])
    samples: Sound = (noise * levels).astype(np.float32)
    return samples


@settings(max_examples=150, deadline=None)
@given(
    sentences=st.lists(segments, min_size=1, max_size=3),
    sizes=st.lists(st.one_of(st.integers(0, 8), st.integers(9, 3000)), min_size=1, max_size=12),
    rate=st.sampled_from([8_000, RATE]),
    known=st.booleans(),
)
def test_however_sound_is_split_the_piece_is_the_same(
    sentences: list[list[tuple[float, int]]], sizes: list[int], rate: int, known: bool
) -> None:
    levels = Level(), Level()
    for level in levels if known else ():
        finish([tone(0.2)], RATE, "before.", level)
    whole = finish([sound(parts) for parts in sentences], rate, "a.", levels[0])
    finisher, audio = Finisher(rate, "a.", levels[1]), b""
    for parts in sentences:
        samples, at = sound(parts), 0
        for size in sizes:
            audio += finisher.push(samples[at : at + size])
            at += size
        audio += b"".join(finisher.push(samples[i : i + 400]) for i in range(at, samples.size, 400))
        audio += finisher.next_sentence()
    assert audio + finisher.end() == whole
    assert levels[0].gain == levels[1].gain


@settings(max_examples=50, deadline=None)
@given(
    before=st.integers(0, 30_000),
    behind=st.integers(0, 30_000),
    step=st.integers(100, 5_000),
    known=st.booleans(),
)
def test_however_long_the_silence_around_it_a_sound_is_as_long(
    before: int, behind: int, step: int, known: bool
) -> None:
    level = Level()
    if known:
        finish([tone(0.3)], RATE, "before.", level)
    padded = np.concatenate((np.zeros(before, np.float32), tone(0.3), np.zeros(behind, np.float32)))
    finisher = Finisher(RATE, "one,", level)
    pushed = [finisher.push(padded[i : i + step]) for i in range(0, padded.size, step)]
    audio = b"".join(pushed) + finisher.end()
    assert 8 * (500 + CLAUSE_TAIL_MS - 1) <= len(audio) <= 8 * (500 + CLAUSE_TAIL_MS + 20)


@given(level=st.floats(0, 1e-3), sizes=st.lists(st.integers(0, 5000), max_size=5))
def test_of_silence_no_push_gives_anything(level: float, sizes: list[int]) -> None:
    finisher = Finisher(RATE, "...", Level())
    for size in sizes:
        assert finisher.push(np.full(size, level, np.float32)) == b""
        assert finisher.next_sentence() == b""
    assert finisher.end() == b""


def test_a_pause_inside_a_sentence_stays_as_long_as_it_was() -> None:
    pause = [tone(0.3), np.zeros(RATE, np.float32), tone(0.3)]
    one, two = finish([tone(0.3)], RATE, "a,"), finish([np.concatenate(pause)], RATE, "a,")
    assert len(two) == pytest.approx(
        2 * (len(one) - 8 * CLAUSE_TAIL_MS) + 8_000 + 8 * CLAUSE_TAIL_MS, abs=160
    )


def test_a_silent_sentence_makes_no_gap() -> None:
    silent = np.zeros(5000, np.float32)
    assert finish([silent, tone(0.3), silent, silent], RATE, "a.") == finish([tone(0.3)], RATE, "a.")


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
