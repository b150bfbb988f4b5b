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


def test_the_first_part_is_short_and_only_the_last_says_so(voice: PiperVoiceModel) -> None:
    parts = list(
        voice.stream("You can bring the form to the front desk. We will help you with the rest of it.")
    )
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert not parts[0].audio, "how it is pronounced is a step of its own"
    assert 0.08 < len(parts[1].audio) / 8000 < 0.3
    assert sum(not part.audio for part in parts) == 2, "of each sentence"
    assert len(parts) <= 10
    assert 2 < sum(len(part.audio) for part in parts) / 8000 < 8


def test_parts_are_what_the_whole_is(voice: PiperVoiceModel) -> None:
    """Without noise a voice says a text always in the same way."""
    from engine.providers.tts.piper_graph import CutGraph, WholeGraph, load

    (weights_file,) = weights.folder("piper-joe").glob("*.onnx")
    inputs = {
        "input": np.random.default_rng(0).integers(10, 50, (1, 150)),
        "input_lengths": np.array([150]),
        "scales": np.array([0, 1, 0], np.float32),
    }
    cut, whole = load(weights_file, None), WholeGraph(weights_file, None)
    assert isinstance(cut, CutGraph)
    (expected,) = [decode() for decode in whole.encode(inputs)]
    parts = [decode() for decode in cut.encode(inputs)]
    assert len(parts) > 3
    assert np.abs(np.concatenate(parts) - expected).max() * 32_768 < 1


def test_a_voice_s_first_piece_is_as_loud_as_later_ones(voice: PiperVoiceModel) -> None:
    new = PiperVoiceModel(weights.folder("piper-joe"))
    for text in ("Hello.", "You can bring the form to the front desk on any day of the week."):
        pcm = ulaw_to_pcm(new.synthesise(text)).astype(float) / 32_768
        frames = np.mean(np.square(pcm[: len(pcm) // 80 * 80].reshape(-1, 80)), axis=1)
        assert -26 < 10 * np.log10(np.mean(frames[frames > 1e-4])) < -15


def test_speed_shortens(voice: PiperVoiceModel) -> None:
    text = "We are open."
    assert len(voice.synthesise(text, 1.6)) < 0.85 * len(voice.synthesise(text, 0.8))


@pytest.mark.parametrize("text", ["", "  ", "...", "!?", "😀", "—"])
def test_what_cannot_be_pronounced_is_nothing(voice: PiperVoiceModel, text: str) -> None:
    assert voice.synthesise(text) == b""
    assert list(voice.stream(text)) == [(b"", True)]


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
