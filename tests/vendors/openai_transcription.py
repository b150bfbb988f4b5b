"""OpenAI's transcription API.

Source: platform.openai.com/docs/api-reference/audio/createTranscription (read 2026-11-24), and for
gpt-transcribe, which takes `languages` and not `language`, developers.openai.com/cookbook/examples/
migrating_from_whisper_to_gpt_transcribe (read 2026-11-28).

Documented request:  POST /v1/audio/transcriptions, `Authorization: Bearer KEY`, multipart/form-data with
                     `file` (flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav, webm) and `model`.
Documented response: {"text": "Imagine the wildest idea that you've ever had ..."}, with gpt-transcribe also
                     "languages": [{"code": "en"}]
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.vendors.transcription import SttSimulator

WHISPER, NEW = "whisper-1", "gpt-transcribe"


class OpenAiTranscription(SttSimulator):
    models: ClassVar[frozenset[str]] = frozenset(
        {WHISPER, NEW, "gpt-4o-transcribe", "gpt-4o-mini-transcribe"}
    )
    path: ClassVar[str] = "/v1/audio/transcriptions"

    def routes(self) -> Iterator[BaseRoute]:
        yield Route(self.path, self._transcribe, methods=["POST"])

    async def _transcribe(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "Incorrect API key provided: ****")
        async with request.form() as form:
            file, model = form.get("file"), form.get("model")
            if not isinstance(file, UploadFile):
                return self.error(400, "Missing required parameter: 'file'.")
            if model not in self.models:
                return self.error(404, f"The model `{model}` does not exist or you do not have access to it.")
            language, several = form.get("language"), form.getlist("languages[]")
            if model == NEW and language is not None:
                return self.error(400, f"Unsupported parameter: 'language' with {NEW}: use 'languages'.")
            if model != NEW and several:
                return self.error(400, f"Unsupported parameter: 'languages' with {model}.")
            language = several[0] if several else language
            if language is not None and len(str(language)) != 2:
                return self.error(400, f"Language '{language}' is not supported: use ISO 639-1.")
            kind = str(form.get("response_format", "json"))
            if kind == "verbose_json" and not self.is_whisper(str(model)):
                return self.error(400, f"response_format 'verbose_json' is not compatible with {model}")
            try:
                with wave.open(io.BytesIO(await file.read())) as audio:
                    rate_hz, samples = audio.getframerate(), audio.getnframes()
            except (wave.Error, EOFError):
                return self.error(400, "Invalid file format.")
        seconds = samples / rate_hz
        self.heard.append({"model": model, "language": language, "rate_hz": rate_hz, "seconds": seconds})
        if kind == "json" and model == NEW:
            return JSONResponse({"text": self.text, "languages": [{"code": str(language or "en")}]})
        if kind == "json":
            return JSONResponse({"text": self.text})
        return JSONResponse(self._verbose(str(language or "english"), seconds))

    def is_whisper(self, model: str) -> bool:
        return model == WHISPER

    def _verbose(self, language: str, seconds: float) -> dict[str, Any]:
        words = self.text.split()
        step = seconds / max(1, len(words))
        return {
            "task": "transcribe",
            "language": {"en": "english", "de": "german"}.get(language, language),
            "duration": seconds,
            "text": self.text,
            "words": [
                {"word": word, "start": round(index * step, 2), "end": round((index + 1) * step, 2)}
                for index, word in enumerate(words)
            ],
            "segments": [
                {
                    "id": 0,
                    "seek": 0,
                    "start": 0.0,
                    "end": seconds,
                    "text": self.text,
                    "tokens": [1],
                    "temperature": 0.0,
                    "avg_logprob": -0.2,
                    "compression_ratio": 1.1,
                    "no_speech_prob": 0.01,
                }
            ],
        }
