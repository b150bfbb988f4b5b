"""Local speech to text: Whisper with a window that fits the utterance.

Whisper was trained on 30 s, so the usual code encodes 30 s of mostly silence for a two-second answer. The
encoder takes shorter input too. Here an utterance is encoded with `padding_frames` (10 ms each) of silence
after it and no more. Too little padding makes the decoder loop, so whatever looks like a loop is decoded
again in a wider window, and what does so there too in the full one. bench/stt_window.py measures both sides
of the bargain.

Everything here blocks: call it from worker threads, at most `WhisperOptions.workers` at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.audio import g711, resample
from engine.errors import ProviderRejected
from engine.providers.base import SAMPLE_RATE_HZ, Transcript
from engine.providers.stt.ctranslate import (
    FULL_WINDOW_FRAMES,
    PROVIDER,
    Decode,
    Piece,
    WhisperModel,
    WhisperOptions,
)
from engine.providers.stt.mel import RATE_HZ, Features
from engine.providers.stt.repetition import collapse_loops, compression_ratio, suspicion, words
from engine.providers.stt.splitting import split

__all__ = ["Audio", "WhisperDecoder", "WhisperOptions", "is_speech"]

log = logging.getLogger(__name__)

SHORTEST = RATE_HZ // 10
"""Samples at 16 kHz. In less than 100 ms there is no word, and too little for a spectrum."""

WIDER_FRAMES = 700
"""10 ms each, added to the padding for a second look. Of 420 questions 10 looped with 800 frames of padding,
5 with 1,000, none with 1,200 or 1,500; a decode took 80, 98 and, in the full window, 302 ms."""

NOTHING_SAID = ((0.6, -1.0), (0.8, -0.4))
"""(no_speech probability above, avg_logprob below): the first is Whisper's own pair. Noise and coughs had
0.7 to 0.97 and -0.5 to -1.9; 388 utterances, half of them in noise, stayed below 0.8."""

Audio = bytes | NDArray[np.float32]
"""G.711 mu-law bytes at 8 kHz, or float32 samples (-1 to 1) at 16 kHz; mono."""


class Model(Protocol):
    """What the decoder needs of a Whisper; `ctranslate.WhisperModel` is the real one."""

    name: str
    multilingual: bool
    languages: frozenset[str]
    device: str
    compute_type: str

    def features(self, samples: NDArray[np.float32]) -> Features: ...
    def decode(self, pieces: Sequence[Piece], frames: int, *, hasty: bool = False) -> list[Decode]: ...


@dataclass(slots=True)
class DecoderCounts:
    """What a decoder has done since it was made, for metrics: an update lost between threads is harmless."""

    utterances: int = 0
    decoded_again: int = 0
    empty: int = 0


class WhisperDecoder:
    """Audio of any length -> Transcript."""

    def __init__(self, model: Model, *, padding_frames: int) -> None:
        self.model = model
        self.counts = DecoderCounts()
        self._padding_frames = padding_frames

    @classmethod
    def load(cls, path: Path, options: WhisperOptions | None = None) -> WhisperDecoder:
        """A decoder over the CTranslate2 folder `path`. Raises WeightsError or ConfigurationError."""
        options = options or WhisperOptions()
        return cls(WhisperModel(path, options), padding_frames=options.padding_frames)

    def resolve_language(self, language: str) -> str | None:
        """`language` ("en", "en-US", "auto") as a code of the model; None: it will be detected.

        Raises ProviderRejected if the model does not understand it.
        """
        code = language.strip().lower().replace("_", "-").split("-")[0]
        if code == "auto":
            return None if self.model.multilingual else "en"
        if code not in self.model.languages:
            raise ProviderRejected(
                f"weights '{self.model.name}' do not understand language '{language}': "
                "set the agent's language to one they know, or use a multilingual Whisper",
                provider=PROVIDER,
            )
        return code

    def transcribe(self, audio: Audio, language: str = "en") -> Transcript:
        """What is said in `audio`; `text` is empty when nothing was.

        Raises ProviderRejected (language, malformed samples) or ProviderUnavailable (the device failed).
        """
        return self.transcribe_batch([audio], language)[0]

    def transcribe_batch(
        self, audios: Sequence[Audio], language: str | Sequence[str] = "en"
    ) -> list[Transcript]:
        """Several utterances in one pass of encoder and decoder, padded to one window; order is kept.

        `language`: one for all, or one for each. Raises as `transcribe` does, for the batch as a whole.
        """
        languages = [language] * len(audios) if isinstance(language, str) else list(language)
        pieces: list[list[Piece]] = []
        for audio, one in zip(audios, languages, strict=True):
            code = self.resolve_language(one)
            parts = split(samples_16k(audio), RATE_HZ)
            pieces.append([Piece(self.model.features(part), code) for part in parts if len(part) >= SHORTEST])
        decodes = iter(self._decode_checked([piece for of_one in pieces for piece in of_one]))
        return [
            self._transcript(audio, [next(decodes) for _ in of_one])
            for audio, of_one in zip(audios, pieces, strict=True)
        ]

    def _decode_checked(self, pieces: Sequence[Piece]) -> list[Decode]:
        """The decode of each piece, in a wider window where the one before gave something suspicious."""
        if not pieces:
            return []
        fitting = max(piece.features.shape[1] for piece in pieces) + self._padding_frames
        first, *wider = sorted(
            {
                min(FULL_WINDOW_FRAMES, frames)
                for frames in (fitting, fitting + WIDER_FRAMES, FULL_WINDOW_FRAMES)
            }
        )
        tries = [[decode] for decode in self.model.decode(pieces, first, hasty=bool(wider))]
        for frames in wider:
            doubted = [at for at, piece in enumerate(pieces) if _doubt(tries[at][-1], piece)]
            if not doubted:
                break
            log.info("%d of %d decoded again in %d frames", len(doubted), len(pieces), frames)
            self.counts.decoded_again += len(doubted)
            again = self.model.decode([pieces[at] for at in doubted], frames)
            for at, decode in zip(doubted, again, strict=True):
                tries[at].append(decode)
        return [_settle(piece, of_one) for piece, of_one in zip(pieces, tries, strict=True)]

    def _transcript(self, audio: Audio, decodes: Sequence[Decode]) -> Transcript:
        """One transcript of an utterance's pieces; scores are the worst, the language is the surest."""
        self.counts.utterances += 1
        spoken = [decode for decode in decodes if is_speech(decode)]
        if not spoken:
            self.counts.empty += 1
        text = " ".join(decode.text for decode in spoken)
        result = Transcript(text, audio_ms=_duration_ms(audio), served_by=self.model.name)
        if not decodes:
            return result
        surest = max(spoken or decodes, key=lambda decode: decode.language_probability)
        return replace(
            result,
            language=surest.language,
            language_probability=surest.language_probability,
            avg_logprob=min(decode.avg_logprob for decode in spoken or decodes),
            no_speech_probability=max(decode.no_speech_probability for decode in spoken or decodes),
            decode="full" if any(each.window_frames == FULL_WINDOW_FRAMES for each in decodes) else "window",
        )


def is_speech(decode: Decode) -> bool:
    """Whether `decode` is what somebody said, by the decoder's own scores: no list of phrases.

    On noise and silence it is unsure of its words and sure that there are none; on speech, even in loud
    noise, never both.
    """
    if not words(decode.text):
        return False
    return not any(
        decode.no_speech_probability > silent and decode.avg_logprob < unsure
        for silent, unsure in NOTHING_SAID
    )


def _doubt(decode: Decode, piece: Piece) -> str | None:
    """Why `decode` should not be believed, or None."""
    return "no end within the token limit" if decode.truncated else suspicion(decode.text, piece.speech_s)


def _settle(piece: Piece, tries: Sequence[Decode]) -> Decode:
    """The decode to keep of those of a piece, each in a wider window than the one before.

    The last one is believed if it looks sound. The full window and another agreeing on a repetition means
    that it was said. If all loop, the least repetitive one is kept with its loops cut to one round.
    """
    last = tries[-1]
    if _doubt(last, piece) is None:
        return last
    if not last.truncated and any(words(decode.text) == words(last.text) for decode in tries[:-1]):
        return last
    kept = min(tries, key=lambda decode: compression_ratio(decode.text))
    return replace(kept, text=collapse_loops(kept.text))


def samples_16k(audio: Audio) -> NDArray[np.float32]:
    """`audio` as float32 samples at 16 kHz. Raises ProviderRejected for samples that cannot be decoded."""
    if isinstance(audio, bytes):
        pcm = resample.resample(g711.ulaw_to_pcm(audio), SAMPLE_RATE_HZ, RATE_HZ)
        return pcm.astype(np.float32) / np.float32(32_768)
    if audio.ndim != 1 or audio.dtype != np.float32 or not np.isfinite(audio).all():
        raise ProviderRejected(
            "audio must be mu-law bytes or a one-dimensional array of finite float32 samples",
            provider=PROVIDER,
        )
    return audio


def _duration_ms(audio: Audio) -> int:
    rate_hz = SAMPLE_RATE_HZ if isinstance(audio, bytes) else RATE_HZ
    return round(1_000 * len(audio) / rate_hz)
