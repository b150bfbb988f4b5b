"""Speech to text by OpenAI, and by whoever serves its transcription API.

Source: platform.openai.com/docs/api-reference/audio/createTranscription. The request is multipart: `file`,
`model`, `language` (ISO 639-1), `response_format`. Only whisper models answer with `verbose_json`, which has
words and confidences; the others answer with plain `json`.

gpt-transcribe takes `languages`, those that may be spoken, instead of `language`, and answers with those it
heard (developers.openai.com/cookbook/examples/migrating_from_whisper_to_gpt_transcribe, the SDK's types).
OpenAI shuts down the whisper and gpt-4o models behind this API on 2027-02-26
(developers.openai.com/api/docs/deprecations, read 2026-11-28).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import httpx2
import openai

from engine.errors import ProviderUnavailable
from engine.providers.base import Transcript, Word
from engine.providers.openai_sdk import provider_error, sdk
from engine.providers.stt.vendor import AudioFormat, VendorStt
from engine.providers.vendor import VendorOptions


class OpenAiStt(VendorStt):
    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_model: ClassVar[str] = "gpt-transcribe"

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._client = sdk(self)

    async def close(self) -> None:
        await self._client.close()

    async def transcribe(self, audio: bytes, form: AudioFormat, language: str) -> Transcript:
        words = "whisper" in self.model
        body: dict[str, Any] = {
            "model": self.model,
            "file": ("utterance.wav", form.to_wav(audio), "audio/wav"),
            "response_format": "verbose_json" if words else "json",
        }
        if words:
            body["timestamp_granularities"] = ["word", "segment"]
        if language != "auto" and self.model.startswith("gpt-transcribe"):
            body["languages"] = [language]
        elif language != "auto":
            body["language"] = language
        try:
            answer: Any = await self._client.audio.transcriptions.create(**body)
            return self._transcript(answer, language, form.duration_ms(audio))
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise provider_error(error, self.name) from error

    def _transcript(self, answer: Any, language: str, audio_ms: int) -> Transcript:
        if not isinstance(answer.text, str):
            raise ProviderUnavailable(f"{self.name} sent a transcript without text", provider=self.name)
        segments = getattr(answer, "segments", None) or []
        logprob = sum(segment.avg_logprob for segment in segments) / len(segments) if segments else None
        return Transcript(
            answer.text.strip(),
            language if language != "auto" else _found(answer),
            avg_logprob=logprob,
            no_speech_probability=min((segment.no_speech_prob for segment in segments), default=None),
            audio_ms=audio_ms,
            decode="full",
            served_by=self.served_by,
            confidence=math.exp(logprob) if logprob is not None else None,
            words=tuple(
                Word(word.word, round(word.start * 1000), round(word.end * 1000))
                for word in getattr(answer, "words", None) or ()
            ),
        )


_NAMES = {"english": "en", "spanish": "es", "french": "fr", "german": "de", "italian": "it",
          "portuguese": "pt", "dutch": "nl", "polish": "pl", "turkish": "tr", "russian": "ru",
          "chinese": "zh", "japanese": "ja", "korean": "ko", "arabic": "ar", "hindi": "hi"}  # fmt: skip


def _found(answer: Any) -> str:
    """The language that was heard, the first where there were several; "" where the model does not tell."""
    heard = getattr(answer, "languages", None)
    return str(heard[0].code) if heard else _code(getattr(answer, "language", None))


def _code(language: str | None) -> str:
    """Whisper's answers name the language in English words; "" when it is not one that is known here."""
    name = (language or "").lower()
    return _NAMES.get(name, name if len(name) == 2 else "")
