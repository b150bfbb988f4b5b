"""Groq's transcription API: OpenAI's, at another path and with Whisper's large models.

Source: console.groq.com/docs/speech-to-text and console.groq.com/docs/errors (read 2026-11-24).

Documented request:  POST /openai/v1/audio/transcriptions, `Authorization: Bearer KEY`, multipart/form-data
                     with `file` (flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav, webm) and `model`; `language`
                     and `response_format` (json, verbose_json, text) if wanted.
Documented response: {"text": "Your transcribed text appears here...", "x_groq": {"id": "req_unique_id"}}
"""

from __future__ import annotations

from typing import Any, ClassVar

from tests.vendors.openai_transcription import OpenAiTranscription


class GroqTranscription(OpenAiTranscription):
    models: ClassVar[frozenset[str]] = frozenset({"whisper-large-v3-turbo", "whisper-large-v3"})
    path: ClassVar[str] = "/openai/v1/audio/transcriptions"

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error"}}

    def is_whisper(self, model: str) -> bool:
        return model in self.models
