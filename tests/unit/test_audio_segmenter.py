"""The segmenter with a scripted voice activity probability: no model, no clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.audio.g711 import ULAW_SILENCE, pcm_to_ulaw
from engine.audio.segmenter import (
    CHUNK_SAMPLES,
    SegmenterEvent,
    SpeechAudio,
    SpeechSegmenter,
    SpeechStarted,
    SpeechState,
    SpeechStopped,
    VadConfig,
)
from engine.errors import ConfigurationError, ProtocolError

CHUNK = CHUNK_SAMPLES
Segmenter = Callable[[list[float]], SpeechSegmenter]


def scripted(probabilities: list[float]) -> SpeechSegmenter:
    """A segmenter whose network says these, then 0 for ever."""
    script = iter(probabilities)
    return SpeechSegmenter(lambda chunk: next(script, 0.0))


def state(segmenter: SpeechSegmenter) -> SpeechState:
    return segmenter.state


def sound(samples: int, level: int = 2_000, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).normal(0, level, samples)
    return pcm_to_ulaw(np.clip(noise, -32_768, 32_767).astype(np.int16))


def silence(samples: int) -> bytes:
    return bytes((ULAW_SILENCE,)) * samples


def feed(segmenter: SpeechSegmenter, audio: bytes, step: int = 160) -> list[SegmenterEvent]:
    return [event for i in range(0, len(audio), step) for event in segmenter.push(audio[i : i + step])]


def pieces(events: list[SegmenterEvent]) -> list[SpeechAudio]:
    return [event for event in events if isinstance(event, SpeechAudio)]


def test_one_utterance() -> None:
    audio = silence(20 * CHUNK) + sound(20 * CHUNK) + silence(20 * CHUNK)
    events = feed(scripted([0.0] * 20 + [1.0] * 22 + [0.0] * 18), audio)
    assert events[0] == SpeechStarted(20 * CHUNK)
    assert events[-1] == SpeechStopped(40 * CHUNK), "the level ends it, though the network lingers"
    sent = pieces(events)
    assert len(sent) == len(events) - 2
    assert sent[0].at == 20 * CHUNK - 2_400
    assert sent[-1].at + len(sent[-1].ulaw) == 45 * CHUNK, "144 ms are seen with the fifth quiet chunk"
    assert all(len(piece.ulaw) >= 1_600 for piece in sent[:-1])
    assert b"".join(piece.ulaw for piece in sent) == audio[sent[0].at : 45 * CHUNK]


def test_long_silence_is_not_shown_to_the_network_and_speech_after_it_is() -> None:
    shown = list[float]()

    def network(chunk: NDArray[np.float32]) -> float:
        shown.append(float(np.abs(chunk).max()))
        return float(shown[-1] > 0.01)

    segmenter = SpeechSegmenter(network)
    feed(segmenter, silence(200 * CHUNK))
    assert len(shown) == 31, "a second, by which it has settled"
    events = feed(segmenter, sound(20 * CHUNK) + silence(200 * CHUNK) + sound(4 * CHUNK))
    assert [event.at for event in events if isinstance(event, SpeechStarted)] == [200 * CHUNK, 420 * CHUNK]
    assert sum(loud > 0.01 for loud in shown) == 24, "all of the sound"


def test_speech_stirs_with_its_first_frame() -> None:
    segmenter = scripted([0.0] * 10 + [1.0] * 30)
    assert state(segmenter) is SpeechState.SILENT, "nothing was heard yet"
    feed(segmenter, silence(10 * CHUNK))
    assert state(segmenter) is SpeechState.SILENT
    feed(segmenter, sound(160))
    assert state(segmenter) is SpeechState.STIRRING, "20 ms, which the network has not seen"
    feed(segmenter, sound(3 * CHUNK))
    assert state(segmenter) is SpeechState.SPEAKING


def test_after_a_long_gap_nothing_stirs_and_speech_begins_behind_it() -> None:
    segmenter = scripted([1.0] * 4)
    segmenter.gap(100 * CHUNK)
    assert state(segmenter) is SpeechState.SILENT
    events = feed(segmenter, sound(4 * CHUNK))
    assert [event.at for event in events if isinstance(event, SpeechStarted)] == [100 * CHUNK]


def test_the_noise_of_a_line_is_no_stirring() -> None:
    segmenter = scripted([])
    feed(segmenter, sound(100 * CHUNK, level=300))
    stirs = [
        bool(segmenter.push(sound(160, level=300, seed=n)) or state(segmenter) is not SpeechState.SILENT)
        for n in range(50)
    ]
    assert not any(stirs)
    click = bytearray(silence(160))
    click[40:50] = sound(10, level=12_000)
    feed(segmenter, bytes(click))
    assert state(segmenter) is SpeechState.SILENT
    feed(segmenter, sound(160, level=6_000))
    assert state(segmenter) is SpeechState.STIRRING


def test_events_come_as_soon_as_they_can() -> None:
    segmenter = scripted([0.9] * 50)
    audio = sound(20 * CHUNK)
    assert segmenter.push(audio[: 2 * CHUNK - 1]) == []
    assert not segmenter.speaking
    assert segmenter.push(audio[2 * CHUNK - 1 : 2 * CHUNK]) == [SpeechStarted(0)]
    assert segmenter.speaking
    assert segmenter.push(audio[2 * CHUNK : 7 * CHUNK - 1]) == []
    assert segmenter.push(audio[7 * CHUNK - 1 : 7 * CHUNK]) == [SpeechAudio(0, audio[: 7 * CHUNK])]
    assert segmenter.position == 7 * CHUNK


def test_silence_sends_nothing_and_keeps_no_more_than_the_preroll() -> None:
    segmenter = scripted([])
    assert feed(segmenter, sound(60 * 8_000, level=30)) == []
    assert segmenter.position == 60 * 8_000
    assert len(segmenter._kept) <= 2_400 + CHUNK


def test_a_click_is_not_speech() -> None:
    events = feed(scripted([0.0] * 10 + [0.9] + [0.0] * 30), sound(40 * CHUNK))
    assert events == []


def test_hysteresis_holds_between_the_thresholds() -> None:
    probabilities = [0.49] * 10 + [0.6, 0.46] + [0.46] * 20 + [0.0] * 10
    events = feed(scripted(probabilities), sound(43 * CHUNK))
    assert events[0] == SpeechStarted(10 * CHUNK)
    assert events[-1] == SpeechStopped(32 * CHUNK)
    assert sum(not isinstance(event, SpeechAudio) for event in events) == 2


def test_breath_after_a_word_neither_prolongs_it_nor_begins_another() -> None:
    """26 dB below the words, and speech to the network: the end is where the words end."""
    audio = sound(20 * CHUNK) + sound(20 * CHUNK, level=100) + silence(10 * CHUNK)
    events = feed(scripted([1.0] * 40), audio)
    assert [event for event in events if not isinstance(event, SpeechAudio)] == [
        SpeechStarted(0),
        SpeechStopped(20 * CHUNK),
    ]


def test_a_quiet_word_after_a_second_of_silence_is_speech() -> None:
    audio = sound(20 * CHUNK) + silence(32 * CHUNK) + sound(10 * CHUNK, level=120)
    events = feed(scripted([1.0] * 20 + [0.0] * 32 + [1.0] * 10), audio)
    assert SpeechStarted(52 * CHUNK) in events


def test_what_the_network_takes_for_speech_below_the_gate_is_not() -> None:
    assert feed(scripted([1.0] * 100), sound(100 * CHUNK, level=15)) == []
    assert feed(scripted([1.0] * 100), silence(100 * CHUNK)) == []


def test_a_short_pause_does_not_stop_and_a_longer_one_does() -> None:
    short = [1.0] * 10 + [0.0] * 4 + [1.0] * 10
    events = feed(scripted(short), sound(24 * CHUNK))
    assert sum(isinstance(event, SpeechStopped) for event in events) == 0
    events = feed(scripted([1.0] * 10 + [0.0] * 5 + [1.0] * 10), sound(25 * CHUNK))
    assert [event for event in events if not isinstance(event, SpeechAudio)] == [
        SpeechStarted(0),
        SpeechStopped(10 * CHUNK),
        SpeechStarted(15 * CHUNK),
    ]


def test_resumed_speech_never_repeats_what_was_sent() -> None:
    audio = sound(60 * CHUNK)
    for quiet in range(5, 20):
        probabilities = [0.0] * 12 + [1.0] * 10 + [0.0] * quiet + [1.0] * 10 + [0.0] * 10
        sent = pieces(feed(scripted(probabilities), audio))
        ends = [piece.at + len(piece.ulaw) for piece in sent]
        assert all(piece.at >= end for piece, end in zip(sent[1:], ends, strict=False))
        gap = max(0, (22 + quiet) * CHUNK - 2_400 - 27 * CHUNK)
        assert sum(len(piece.ulaw) for piece in sent) == ends[-1] - sent[0].at - gap


def test_a_gap_moves_the_position_and_ends_speech() -> None:
    segmenter = scripted([1.0] * 1_000)
    events = feed(segmenter, sound(10 * CHUNK + 100))
    events += segmenter.gap(4_000)
    assert segmenter.position == 10 * CHUNK + 4_100
    stop = next(event for event in events if isinstance(event, SpeechStopped))
    assert 10 * CHUNK <= stop.at <= 10 * CHUNK + 128
    sent = b"".join(piece.ulaw for piece in pieces(events))
    assert sent == sound(10 * CHUNK + 100) + silence(len(sent) - 10 * CHUNK - 100)


def test_a_gap_of_hours_is_as_quick_as_one_of_a_second() -> None:
    calls = 0

    def vad(chunk: NDArray[np.float32]) -> float:
        nonlocal calls
        calls += 1
        return 0.0

    segmenter = SpeechSegmenter(vad)
    assert segmenter.gap(10 * 3_600 * 8_000 + 77) == []
    assert segmenter.position == 10 * 3_600 * 8_000 + 77
    assert calls == 0
    assert len(segmenter._kept) <= 2_400 + CHUNK
    feed(segmenter, sound(CHUNK - 77))
    assert calls == 1, "chunks stay where they were"
    with pytest.raises(ProtocolError, match="must not go back"):
        segmenter.gap(-1)


@settings(max_examples=100, deadline=None)
@given(
    probabilities=st.lists(st.tuples(st.sampled_from([0.0, 0.47, 1.0]), st.integers(1, 12)), max_size=12),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3_000)), min_size=1, max_size=20),
)
def test_any_cut_gives_ordered_exact_audio(
    probabilities: list[tuple[float, int]], steps: list[tuple[bool, int]]
) -> None:
    """However audio and losses arrive: events alternate, audio is in order, complete and what was said."""
    segmenter = scripted([p for p, times in probabilities for _ in range(times)])
    line, speaking, sent_to, began = bytearray(), False, 0, 0
    for lost, samples in steps:
        audio = silence(samples) if lost else sound(samples, seed=len(line))
        line += audio
        for event in segmenter.gap(samples) if lost else segmenter.push(audio):
            match event:
                case SpeechStarted(at):
                    assert not speaking
                    assert at >= sent_to
                    speaking, began = True, at
                    fresh = True
                case SpeechAudio(at, ulaw):
                    assert speaking
                    assert at == max(sent_to, began - 2_400, 0) if fresh else at == sent_to
                    assert line[at : at + len(ulaw)] == ulaw
                    sent_to, fresh = at + len(ulaw), False
                case SpeechStopped(at):
                    assert speaking
                    assert began < at <= sent_to - 144 * 8
                    speaking = False
        assert segmenter.position == len(line)
        assert segmenter.speaking == speaking


def test_cutting_differently_changes_no_event() -> None:
    audio = silence(3_000) + sound(9_000) + silence(5_000) + sound(5_000, seed=1) + silence(4_000)
    script = [0.0] * 12 + [1.0] * 36 + [0.0] * 19 + [1.0] * 20

    def events(step: int) -> list[SegmenterEvent]:
        return feed(scripted(script), audio, step)

    assert events(1) == events(160) == events(20_000)


@pytest.mark.parametrize(
    "bad", [{"start_probability": 0.3}, {"stop_probability": 0.0}, {"pause_ms": 0}, {"preroll_ms": -1}]
)
def test_contradictions_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        VadConfig(**bad)  # type: ignore[arg-type]
