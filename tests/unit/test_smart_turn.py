"""The turn model: features as it was trained with, and sense in its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import g711, resample, wav
from engine.errors import ConfigurationError, WeightsError
from engine.providers.stt.mel import RATE_HZ, LogMel
from engine.providers.turn.smart_turn import SmartTurn, last_8_s, normalise
from engine.weights import folder


def _weights(name: str) -> Path:
    try:
        return folder(name)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model() -> SmartTurn:
    return SmartTurn(_weights("smart-turn-v3.2"))


def _chirp(seconds: float) -> NDArray[np.int16]:
    """Something with energy in every band, and noise."""
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(7).standard_normal(len(at))
    return (8_000 * np.sin(2 * np.pi * (100 + 450 * at) * at) + 300 * noise).astype(np.int16)


@pytest.mark.parametrize("seconds", [0.3, 11.0])
def test_features_are_those_of_the_training_library(seconds: float) -> None:
    whisper = pytest.importorskip("transformers.models.whisper.feature_extraction_whisper")
    window = last_8_s(_chirp(seconds))
    extractor = whisper.WhisperFeatureExtractor(chunk_length=8)
    reference = extractor(
        window, sampling_rate=RATE_HZ, do_normalize=True, padding="max_length", return_tensors="np"
    ).input_features[0]
    features = LogMel()(normalise(window))
    assert features.shape == reference.shape == (80, 800)
    np.testing.assert_allclose(features, reference, atol=1e-4)


def test_short_audio_stands_at_the_end_and_long_audio_loses_its_beginning() -> None:
    short, long = np.full(1_000, 500, np.int16), np.arange(150_000).astype(np.int16)
    window = last_8_s(short)
    assert not window[:-1_000].any()
    assert (window[-1_000:] == np.float32(500 / 32_768)).all()
    np.testing.assert_array_equal(last_8_s(long) * 32_768, long[-128_000:])
    assert not last_8_s(short[:0]).any()


def test_loudness_does_not_count() -> None:
    window = last_8_s(_chirp(8.0))
    np.testing.assert_allclose(normalise(window), normalise(window * np.float32(0.25)), atol=1e-3)


def test_a_finished_sentence_scores_above_a_broken_one(model: SmartTurn) -> None:
    recording = wav.read_wav(_weights("human-speech") / "two_cities.wav")
    ulaw = g711.pcm_to_ulaw(resample.resample(recording.pcm[: 5 * recording.hz], recording.hz, 8_000))
    # "It was the best of times, it was the worst of times": whole, and broken off in "it was the w-".
    assert model.score(ulaw[:36_800]) > 0.5 > model.score(ulaw[:28_000])


@pytest.mark.parametrize("ulaw", [b"", b"\xff", bytes(160), b"\xff" * 100_000], ids=len)
def test_every_input_gives_a_probability(model: SmartTurn, ulaw: bytes) -> None:
    assert 0.0 <= model.score(ulaw) <= 1.0


def test_missing_and_foreign_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="parley models pull"):
        SmartTurn(tmp_path)
    (tmp_path / "other.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigurationError, match=r"other\.onnx"):
        SmartTurn(tmp_path)
    with pytest.raises(ConfigurationError, match="not a smart-turn"):
        SmartTurn(_weights("silero-vad") / "silero_vad.onnx")
