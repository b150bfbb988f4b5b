"""Whisper in a fitting window: what is believed, what is decoded again, and the real starter model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import g711, resample, wav
from engine.errors import ConfigurationError, ProviderRejected, WeightsError
from engine.providers.stt.ctranslate import FULL_WINDOW_FRAMES, Decode, Piece, WhisperOptions
from engine.providers.stt.mel import RATE_HZ, Features, LogMel
from engine.providers.stt.repetition import words
from engine.providers.stt.whisper import WhisperDecoder
from engine.weights import folder

SECOND = bytes(8_000)
LOOP = "It was the worst of times. " * 6


def decoded(
    text: str, frames: int, *, logprob: float = -0.3, no_speech: float = 0.1, truncated: bool = False
) -> Decode:
    return Decode(text, "en", 0.9, logprob, no_speech, truncated, frames)


class ScriptedModel:
    """Says what `script(piece number, frames)` says; keeps the shape of every pass."""

    name = "scripted"
    device = compute_type = "none"

    def __init__(self, script: Callable[[int, int], Decode], languages: Sequence[str] = ("en",)) -> None:
        self.script = script
        self.languages = frozenset(languages)
        self.multilingual = len(languages) > 1
        self.passes: list[tuple[int, int]] = []
        self.asked: list[str | None] = []
        self.hasty: list[bool] = []
        self._made: list[Features] = []

    def features(self, samples: NDArray[np.float32]) -> Features:
        features = np.zeros((80, len(samples) // 160), np.float32)
        self._made.append(features)
        return features

    def decode(self, pieces: Sequence[Piece], frames: int, *, hasty: bool = False) -> list[Decode]:
        self.hasty.append(hasty)
        self.passes.append((len(pieces), frames))
        self.asked += [piece.language for piece in pieces]
        numbers = {id(features): number for number, features in enumerate(self._made)}
        return [self.script(numbers[id(piece.features)], frames) for piece in pieces]


def decoder(
    script: Callable[[int, int], Decode], **kwargs: Sequence[str]
) -> tuple[WhisperDecoder, ScriptedModel]:
    model = ScriptedModel(script, **kwargs)
    return WhisperDecoder(model, padding_frames=600), model


def test_the_window_fits_the_utterance() -> None:
    whisper, model = decoder(lambda _, frames: decoded("Hello.", frames))
    transcript = whisper.transcribe(SECOND * 2)
    assert model.passes == [(1, 800)]
    assert (transcript.text, transcript.decode, transcript.audio_ms) == ("Hello.", "window", 2_000)


def test_a_loop_is_decoded_again_in_a_wider_window() -> None:
    whisper, model = decoder(lambda _, frames: decoded(LOOP if frames == 800 else "It was.", frames))
    transcript = whisper.transcribe(SECOND * 2)
    assert model.passes == [(1, 800), (1, 1_500)]
    assert model.hasty == [True, False]
    assert (transcript.text, transcript.decode) == ("It was.", "window")
    assert whisper.counts.decoded_again == 1


def test_a_loop_in_the_wider_window_too_is_decoded_again_in_the_full_one() -> None:
    whisper, model = decoder(lambda _, frames: decoded(LOOP if frames < 3_000 else "It was.", frames))
    transcript = whisper.transcribe(SECOND * 2)
    assert model.passes == [(1, 800), (1, 1_500), (1, FULL_WINDOW_FRAMES)]
    assert (transcript.text, transcript.decode) == ("It was.", "full")
    assert whisper.counts.decoded_again == 2


def test_a_decode_that_meets_the_token_limit_is_decoded_again() -> None:
    whisper, model = decoder(lambda _, frames: decoded("Fine words.", frames, truncated=frames == 800))
    assert whisper.transcribe(SECOND * 2).text == "Fine words."
    assert model.passes == [(1, 800), (1, 1_500)]


def test_a_repetition_that_both_windows_hear_was_said() -> None:
    said = "Hello, can you hear me? Hello, can you hear me?"
    whisper, _ = decoder(lambda _, frames: decoded(said, frames))
    assert whisper.transcribe(SECOND * 3).text == said


def test_when_all_windows_loop_one_round_is_kept() -> None:
    loops = {800: LOOP * 2, 1_500: "So " + LOOP, 3_000: LOOP * 3}
    whisper, _ = decoder(lambda _, frames: decoded(loops[frames], frames))
    assert whisper.transcribe(SECOND * 2).text == "So It was the worst of times."


def test_a_suspicious_full_window_is_not_decoded_twice() -> None:
    whisper, model = decoder(lambda _, frames: decoded(LOOP, frames, truncated=True))
    assert whisper.transcribe(SECOND * 26).text == "It was the worst of times."
    assert model.passes == [(1, FULL_WINDOW_FRAMES)]


@pytest.mark.parametrize(
    ("text", "logprob", "no_speech", "expected"),
    [
        ("Thank you.", -1.6, 0.9, ""),
        ("Thank you.", -0.3, 0.1, "Thank you."),
        ("Thank you.", -0.6, 0.9, ""),
        ("Thank you.", -0.3, 0.9, "Thank you."),
        ("Thank you.", -0.9, 0.7, "Thank you."),
        ("mumbled words", -1.5, 0.2, "mumbled words"),
        (" . ", -0.1, 0.0, ""),
    ],
)
def test_only_the_scores_decide_whether_somebody_spoke(
    text: str, logprob: float, no_speech: float, expected: str
) -> None:
    whisper, _ = decoder(lambda _, frames: decoded(text, frames, logprob=logprob, no_speech=no_speech))
    transcript = whisper.transcribe(SECOND)
    assert transcript.text == expected
    assert (transcript.avg_logprob, transcript.no_speech_probability) == (logprob, no_speech)
    assert whisper.counts.empty == (not expected)


def test_long_utterances_are_split_and_joined_without_their_empty_parts() -> None:
    whisper, model = decoder(lambda number, frames: decoded(f"part{number}" if number != 1 else ".", frames))
    transcript = whisper.transcribe(SECOND * 70)
    assert model.passes == [(3, FULL_WINDOW_FRAMES)]
    assert (transcript.text, transcript.audio_ms) == ("part0 part2", 70_000)


def test_a_batch_is_one_pass_and_only_its_loops_are_repeated() -> None:
    def script(number: int, frames: int) -> Decode:
        return decoded(LOOP if number == 1 and frames < FULL_WINDOW_FRAMES else f"number {number}", frames)

    whisper, model = decoder(script)
    transcripts = whisper.transcribe_batch([SECOND, SECOND * 2, b"", SECOND * 3])
    assert model.passes == [(3, 900), (1, 1_600), (1, FULL_WINDOW_FRAMES)]
    assert [each.text for each in transcripts] == ["number 0", "number 1", "", "number 2"]
    assert [each.decode for each in transcripts] == ["window", "full", "window", "window"]


def test_languages() -> None:
    whisper, model = decoder(lambda _, frames: decoded("Ja.", frames), languages=("en", "de"))
    assert whisper.transcribe_batch([SECOND] * 3, ["de-CH", "auto", "EN_us"])[0].language_probability == 0.9
    assert model.asked == ["de", None, "en"]
    with pytest.raises(ProviderRejected, match="do not understand language 'xx'"):
        whisper.transcribe(SECOND, "xx")
    english, model = decoder(lambda _, frames: decoded("Yes.", frames))
    english.transcribe(SECOND, "auto")
    assert model.asked == ["en"]


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 8_000), np.float32), np.full(8_000, np.nan, np.float32), np.zeros(8_000, np.int16)],
)
def test_malformed_samples_are_rejected(samples: NDArray[np.float32]) -> None:
    whisper, _ = decoder(lambda _, frames: decoded("?", frames))
    with pytest.raises(ProviderRejected, match="float32"):
        whisper.transcribe(samples)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="parley models pull"):
        WhisperDecoder.load(tmp_path)


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("count", [1_600, 40_123])
def test_features_are_those_of_faster_whisper(bands: int, count: int) -> None:
    library = pytest.importorskip("faster_whisper.feature_extractor")
    samples = np.random.default_rng(2).standard_normal(count).astype(np.float32) * np.float32(0.1)
    reference = library.FeatureExtractor(feature_size=bands)(samples, padding=0)
    features = LogMel(bands)(samples)
    assert features.shape == (bands, count * 100 // RATE_HZ)
    np.testing.assert_allclose(features, reference[:, : features.shape[1]], atol=1e-4)


# The real starter model, loaded once.


def _weights(name: str) -> Path:
    try:
        return folder(name)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def whisper() -> WhisperDecoder:
    return WhisperDecoder.load(_weights("whisper-tiny.en"), WhisperOptions(device="cpu"))


@pytest.fixture(scope="module")
def speech() -> bytes:
    """It was the best of times, by telephone."""
    recording = wav.read_wav(_weights("human-speech") / "two_cities.wav")
    return g711.pcm_to_ulaw(resample.resample(recording.pcm[: 5 * recording.hz // 2], recording.hz, 8_000))


def test_a_person_on_the_telephone_is_understood(whisper: WhisperDecoder, speech: bytes) -> None:
    transcript = whisper.transcribe(speech)
    assert words(transcript.text)[:5] == ["it", "was", "the", "best", "of"]
    assert (transcript.decode, transcript.language, transcript.audio_ms) == ("window", "en", 2_500)
    assert transcript.avg_logprob is not None
    assert -1.0 < transcript.avg_logprob < 0.0


def test_nobody_is_not_understood(whisper: WhisperDecoder, speech: bytes) -> None:
    noise = np.random.default_rng(3).standard_normal(16_000) * 600
    hum = 300 * np.sin(np.arange(16_000) * (2 * np.pi * 50 / 8_000))
    nothing = [b"\xff" * 12_000, *(g711.pcm_to_ulaw(each.astype(np.int16)) for each in (noise, hum))]
    spoken, *silent = whisper.transcribe_batch([speech, *nothing])
    assert "best of" in spoken.text
    assert [each.text for each in silent] == ["", "", ""]


def test_what_cannot_run_here_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="as int3"):
        WhisperDecoder.load(_weights("whisper-tiny.en"), WhisperOptions(device="cpu", compute_type="int3"))


@pytest.mark.parametrize("language", ["fr", "fr-CA", "auto"])
def test_another_language_is_transcribed_and_found(language: str) -> None:
    """With the multilingual starter model, and a real recording."""
    french = wav.read_wav(Path(__file__).parents[1] / "data" / "french.wav").pcm
    transcript = WhisperDecoder.load(folder("whisper-base")).transcribe(g711.pcm_to_ulaw(french), language)
    assert "ouvrez-vous le samedi matin" in transcript.text
    assert transcript.language == "fr"
