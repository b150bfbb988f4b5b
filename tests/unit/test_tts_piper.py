"""The real voice. Skipped where piper-tts or its weights are not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from engine import weights
from engine.audio.g711 import ulaw_to_float, ulaw_to_pcm
from engine.errors import ConfigurationError, ProviderRejected, WeightsError
from engine.providers.tts.piper import PiperVoiceModel

pytest.importorskip("piper", reason="the extra `piper` is not installed")


@pytest.fixture(scope="module")
def voice() -> PiperVoiceModel:
    try:
        folder = weights.folder("piper-joe")
    except WeightsError as error:
        pytest.skip(str(error))
    return PiperVoiceModel(folder)


def test_a_sentence_is_as_long_and_as_loud_as_speech(voice: PiperVoiceModel) -> None:
    audio = voice.synthesise("We are open until six.")
    pcm = ulaw_to_pcm(audio).astype(float) / 32_768
    frames = np.sqrt(np.mean(np.square(pcm[: len(pcm) // 80 * 80].reshape(-1, 80)), axis=1))
    assert 0.8 < len(audio) / 8000 < 3
    assert -26 < 20 * np.log10(np.sqrt(np.mean(np.square(frames[frames > 0.01])))) < -16
    assert np.abs(pcm).max() < 0.95
    assert frames[:3].max() > 10 ** (-50 / 20)
    assert frames[-9:].max() < 10 ** (-50 / 20)


def test_speed_shortens(voice: PiperVoiceModel) -> None:
    text = "We are open."
    assert len(voice.synthesise(text, 1.6)) < 0.85 * len(voice.synthesise(text, 0.8))


@pytest.mark.parametrize("text", ["", "  ", "...", "!?", "😀", "—"])
def test_what_cannot_be_pronounced_is_nothing(voice: PiperVoiceModel, text: str) -> None:
    assert voice.synthesise(text) == b""


def test_double_brackets_are_text_and_no_phonemes(voice: PiperVoiceModel) -> None:
    assert 0.2 < len(voice.synthesise("[[yes]]")) / 8000 < 2


@pytest.mark.parametrize(("text", "speed"), [("a" * 1001, 1.0), ("hi", 0.1), ("hi", float("nan"))])
def test_what_is_out_of_range_is_rejected(voice: PiperVoiceModel, text: str, speed: float) -> None:
    with pytest.raises(ProviderRejected):
        voice.synthesise(text, speed)


def test_without_piper_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "piper.voice", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'parley\[piper\]'"):
        PiperVoiceModel(tmp_path)


@pytest.mark.parametrize("files", [[], ["a.onnx"], ["a.onnx", "a.onnx.json"]])
def test_a_folder_that_is_no_voice_says_how_to_mend_it(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(WeightsError, match="parley models pull"):
        PiperVoiceModel(tmp_path)


def test_a_listener_understands_the_normalised_price(voice: PiperVoiceModel) -> None:
    """faster-whisper, as a stranger to both the voice and the finish."""
    import soxr
    from faster_whisper import WhisperModel

    try:
        folder = weights.folder("whisper-tiny.en")
    except WeightsError as error:
        pytest.skip(str(error))
    listener = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    audio = soxr.resample(ulaw_to_float(voice.synthesise("A cleaning costs sixty dollars.")), 8000, 16_000)
    segments, _ = listener.transcribe(audio, beam_size=1, without_timestamps=True)
    heard = " ".join(segment.text for segment in segments).lower()
    assert "$60" in heard or "sixty dollars" in heard
