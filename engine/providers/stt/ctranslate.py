"""A Whisper model in CTranslate2, loaded through faster-whisper: features in, decodes out, no policy.

faster-whisper's own `transcribe` always encodes 30 s; this calls the encoder and decoder beneath it with a
window of any length. The library is imported when a model is loaded, not with this module.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigurationError, ProviderUnavailable, WeightsError
from engine.providers.stt.mel import DYNAMIC_RANGE, FRAMES_PER_S, Features, LogMel

PROVIDER = "whisper"
FULL_WINDOW_FRAMES = 3_000
FILES = ("config.json", "model.bin", "tokenizer.json")

_MOST_TOKENS = 224
"""Whisper was trained on this many for 30 s."""

# The fastest speech stays below this in any script, a loop does not and is cut short.
_TOKENS_ALLOWANCE, _TOKENS_PER_S = 40, 25
# As much for English at its usual pace: what goes on beyond it is worth a second look.
_HASTY_ALLOWANCE, _HASTY_PER_S = 12, 12


_CPU_INFO = Path("/proc/cpuinfo")
_AVX512 = frozenset({"avx512f", "avx512cd", "avx512vl", "avx512bw", "avx512dq"})
"""What CTranslate2's kernels for it need."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How to run the model.

    `compute_type`: int8, int8_float16, float16, float32 or another of CTranslate2's.
    `cpu_threads`: threads for each worker. `workers`: threads that may decode at once.
    `padding_frames`: silence after the utterance; FULL_WINDOW_FRAMES means always the full window.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = "int8"
    cpu_threads: int = 1
    workers: int = 1
    padding_frames: int = 800
    beam_size: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """At most 30 s of speech, ready for the encoder. `language`: a code of the model; None: detect it."""

    features: Features
    language: str | None

    @property
    def speech_s(self) -> float:
        return float(self.features.shape[1] / FRAMES_PER_S)


@dataclass(frozen=True, slots=True)
class Decode:
    """What the decoder made of one piece. `truncated`: it met the token limit instead of an end."""

    text: str
    language: str
    language_probability: float
    avg_logprob: float
    no_speech_probability: float
    truncated: bool
    window_frames: int


class WhisperModel:
    """A loaded model; may be used by as many threads at once as it has workers.

    Raises WeightsError if a file is missing, ConfigurationError if the device or compute type does not
    exist here.
    """

    def __init__(self, path: Path, options: WhisperOptions) -> None:
        for name in FILES:
            if not (path / name).is_file():
                raise WeightsError(f"weights '{path.name}' lack {name}: run `parley models pull {path.name}`")
        prefer_wide_vectors()
        import faster_whisper

        try:
            self._model: Any = faster_whisper.WhisperModel(
                str(path),
                device=options.device,
                compute_type=options.compute_type,
                cpu_threads=options.cpu_threads,
                num_workers=options.workers,
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigurationError(
                f"cannot run weights '{path.name}' on {options.device} as {options.compute_type}: {error}"
            ) from error
        self.name = path.name
        self.multilingual: bool = self._model.model.is_multilingual
        self.device: str = self._model.model.device
        self.compute_type: str = self._model.model.compute_type
        self.languages: frozenset[str] = frozenset(self._model.supported_languages)
        self._log_mel = LogMel(self._model.model.n_mels)
        self._beam_size = options.beam_size
        self._tokenizer = cache(self._make_tokenizer)

    def features(self, samples: NDArray[np.float32]) -> Features:
        """Log-mel of at most 30 s of `samples` (16 kHz, mono, -1 to 1)."""
        return self._log_mel(samples)[:, :FULL_WINDOW_FRAMES]

    def decode(self, pieces: Sequence[Piece], frames: int, *, hasty: bool = False) -> list[Decode]:
        """All pieces in one pass, each padded to `frames`. Raises ProviderUnavailable if the device fails.

        `hasty`: give up soon on what runs longer than English is spoken, as `truncated`.
        """
        import ctranslate2

        padded = np.stack([_padded(piece.features, frames) for piece in pieces])
        limits = [_token_limit(piece, hasty) for piece in pieces]
        try:
            encoded = self._model.model.encode(ctranslate2.StorageView.from_array(padded))
            languages = self._languages(pieces, encoded)
            results = self._model.model.generate(
                encoded,
                [self._prompt(language) for language, _ in languages],
                beam_size=self._beam_size,
                max_length=2 * max(limits),  # CTranslate2 generates at most half of it
                return_scores=True,
                return_no_speech_prob=True,
            )
        except RuntimeError as error:
            raise ProviderUnavailable(
                f"speech to text failed on {self.device}, try another: {error}", provider=PROVIDER
            ) from error
        return [
            self._read(result, language, limit, frames)
            for result, language, limit in zip(results, languages, limits, strict=True)
        ]

    def _languages(self, pieces: Sequence[Piece], encoded: Any) -> list[tuple[str, float]]:
        """(code, probability) for each piece; asks the model only if some piece does not know its own."""
        if all(piece.language is not None for piece in pieces):
            return [(piece.language or "", 1.0) for piece in pieces]
        found = [ranking[0] for ranking in self._model.model.detect_language(encoded)]
        return [
            (piece.language, 1.0) if piece.language is not None else (token.strip("<|>"), float(probability))
            for piece, (token, probability) in zip(pieces, found, strict=True)
        ]

    def _prompt(self, language: str) -> list[int]:
        tokenizer = self._tokenizer(language)
        return [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def _make_tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        return Tokenizer(self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language)

    def _read(self, result: Any, language: tuple[str, float], limit: int, frames: int) -> Decode:
        tokens = result.sequences_ids[0]
        code, probability = language
        return Decode(
            text=self._tokenizer(code).decode(tokens).strip(),
            language=code,
            language_probability=probability,
            # CTranslate2 averages over the tokens without the end token; Whisper counts it.
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            no_speech_probability=result.no_speech_prob,
            truncated=len(tokens) >= limit,
            window_frames=frames,
        )


def prefer_wide_vectors(cpu_info: Path = _CPU_INFO) -> None:
    """Have CTranslate2 use AVX-512 where there is some; by itself it does so on Intel's processors alone.

    On an AMD EPYC an utterance takes 92 % of the time then. Asked before the library is first imported.
    """
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return  # not Linux
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    if _AVX512.issubset(flags):
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")


def _padded(features: Features, frames: int) -> Features:
    """`features` followed by silence, as the spectrum of zeros would be: 8 decades of power below the peak.

    Zeros in the spectrum itself, which faster-whisper appends, would be sound: on them the decoder loops more
    often and gets more words wrong, in the full window too (bench/stt_window.py, arm "usual").
    """
    window = np.full((features.shape[0], frames), features.max() - DYNAMIC_RANGE, np.float32)
    window[:, : features.shape[1]] = features
    return window


def _token_limit(piece: Piece, hasty: bool) -> int:
    if hasty and piece.language == "en":
        return min(_MOST_TOKENS, int(_HASTY_ALLOWANCE + _HASTY_PER_S * piece.speech_s))
    return min(_MOST_TOKENS, int(_TOKENS_ALLOWANCE + _TOKENS_PER_S * piece.speech_s))
