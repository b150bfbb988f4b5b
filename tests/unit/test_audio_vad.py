"""Silero VAD, the real one, on real speech, noise and silence, as a telephone carries them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import weights
from engine.audio.g711 import pcm_to_ulaw, ulaw_to_float
from engine.audio.resample import resample
from engine.audio.segmenter import SpeechAudio, SpeechSegmenter, SpeechStarted, SpeechStopped
from engine.audio.vad import CHUNK_SAMPLES, SileroVad
from engine.audio.wav import read_wav
from engine.errors import WeightsError


def folder(name: str) -> Path:
    try:
        return weights.folder(name)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad(folder("silero-vad"))


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Ten seconds of a reader, with pauses, in mu-law at 8 kHz."""
    wav = read_wav(folder("human-speech") / "beckett.wav")
    return pcm_to_ulaw(resample(wav.pcm, wav.hz, 8_000))


def chunks(ulaw: bytes) -> list[NDArray[np.float32]]:
    signal = ulaw_to_float(ulaw)
    return [signal[i : i + CHUNK_SAMPLES] for i in range(0, len(signal) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES)]


def probabilities(vad: SileroVad, ulaw: bytes) -> NDArray[np.float64]:
    state = vad.new_state()
    return np.array([vad.probability(state, chunk) for chunk in chunks(ulaw)])


def noise(rng: np.random.Generator, samples: int, level: float) -> NDArray[np.float64]:
    return rng.normal(0, level, samples)


def in_noise(ulaw: bytes, level: float) -> bytes:
    pcm = ulaw_to_float(ulaw) * 32_768 + noise(np.random.default_rng(3), len(ulaw), level)
    return pcm_to_ulaw(np.clip(pcm, -32_768, 32_767).astype(np.int16))


def test_speech_is_speech(vad: SileroVad, speech: bytes) -> None:
    got = probabilities(vad, speech)
    assert 0.4 < np.mean(got > 0.5) < 0.6
    power = np.array([np.mean(chunk**2) for chunk in chunks(speech)])
    loud = power > np.quantile(power, 0.7)
    assert np.mean(got[loud] > 0.5) > 0.97


def test_silence_and_noise_are_not(vad: SileroVad) -> None:
    rng = np.random.default_rng(1)
    hum = np.sin(2 * np.pi * 50 * np.arange(40_000) / 8_000) * 3_000
    for signal in (np.zeros(40_000), noise(rng, 40_000, 300), noise(rng, 40_000, 3_000), hum):
        assert probabilities(vad, pcm_to_ulaw(signal.astype(np.int16))).max() < 0.4


def test_a_batch_of_calls_gives_what_each_would(vad: SileroVad, speech: bytes) -> None:
    calls = [chunks(speech[offset : offset + 20 * CHUNK_SAMPLES]) for offset in (0, 7_000, 21_000)]
    alone = [vad.new_state() for _ in calls]
    together = [vad.new_state() for _ in calls]
    for step in zip(*calls, strict=True):
        want = [vad.probability(state, chunk) for state, chunk in zip(alone, step, strict=True)]
        assert vad.probabilities(together, step) == pytest.approx(want, abs=1e-4)
    assert vad.probabilities([], []) == []


def test_missing_or_damaged_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="parley models pull silero-vad"):
        SileroVad(tmp_path)
    (tmp_path / "silero_vad.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="parley models pull silero-vad"):
        SileroVad(tmp_path)


@pytest.mark.parametrize("level", [0, 100, 300], ids=["clean", "20 dB", "10 dB"])
def test_utterances_are_found_where_they_are(vad: SileroVad, speech: bytes, level: float) -> None:
    """Two utterances with quiet around them, in white noise about so far below the speech."""
    first, second = speech[2_800:9_700], speech[28_100:33_500]
    quiet = b"\xff" * 8_000
    audio = in_noise(quiet + first + quiet + second + quiet, level)
    state = vad.new_state()
    segmenter = SpeechSegmenter(lambda chunk: vad.probability(state, chunk))
    said: list[tuple[int, int]] = []
    heard = np.zeros(len(audio), bool)
    for i in range(0, len(audio), 160):
        for event in segmenter.push(audio[i : i + 160]):
            match event:
                case SpeechStarted(at):
                    said.append((at, i + 160))
                case SpeechAudio(at, ulaw):
                    heard[at : at + len(ulaw)] = True
                case SpeechStopped(at):
                    assert i + 160 - at <= (144 + 32 + 20) * 8
    for begin, end in ((8_000, 14_900), (22_900, 28_300)):
        at, emitted = next(s for s in said if abs(s[0] - begin) < 2_400)
        assert emitted - begin < 2_400
        assert emitted - at <= (64 + 32 + 20) * 8
        assert heard[begin:end].mean() > 0.95
    assert not heard[-4_000:].any()


@pytest.mark.parametrize("level", [0.0, 8.0], ids=["no sound", "hiss below the gate"])
def test_speech_after_long_silence_is_found_as_soon_as_by_a_network_that_heard_the_silence(
    vad: SileroVad, speech: bytes, monkeypatch: pytest.MonkeyPatch, level: float
) -> None:
    quiet = pcm_to_ulaw(noise(np.random.default_rng(2), 6 * 8_000, level).astype(np.int16))
    audio = quiet + speech[2_800:9_700] + quiet + speech[28_100:33_500]

    def begins() -> list[int]:
        state, shown = vad.new_state(), list[int]()

        def network(chunk: NDArray[np.float32]) -> float:
            shown.append(1)
            return vad.probability(state, chunk)

        segmenter = SpeechSegmenter(network)
        events = [e for i in range(0, len(audio), 160) for e in segmenter.push(audio[i : i + 160])]
        asked.append(len(shown))
        return [event.at for event in events if isinstance(event, SpeechStarted)]

    asked = list[int]()
    found = begins()
    monkeypatch.setattr("engine.audio.segmenter._SETTLED_CHUNKS", 1_000_000)
    expected = begins()
    assert len(found) == len(expected) == 2
    assert np.abs(np.subtract(found, expected)).max() <= 2 * CHUNK_SAMPLES
    assert asked[0] < asked[1] / 2
