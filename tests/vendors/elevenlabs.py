"""ElevenLabs' speech and voices.

Source: elevenlabs.io/docs/api-reference/text-to-speech/stream, .../voices/search,
elevenlabs.io/docs/eleven-api/resources/errors and help.elevenlabs.io/hc/articles/19572237925521 (read
2026-11-24). Stricter than the vendor in one thing: it would overlook an unknown field.

Documented request:  POST /v1/text-to-speech/JBFqnCBsd6RMkjVDRZzb/stream?output_format=mp3_44100_128,
                     `xi-api-key: KEY`, {"text": "The first move is what sets everything in motion.",
                     "model_id": "eleven_multilingual_v2"}
Documented response: 200 with the audio, streamed; or 401 {"detail": {"status": "invalid_api_key",
                     "message": "Invalid API key"}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.audio.g711 import pcm_to_ulaw
from tests.vendors.speech import SpeechSimulator, Spoken, Wrong, only, require, spoken_pcm, within

LONGEST: Mapping[str, int] = {
    "eleven_flash_v2_5": 40_000,
    "eleven_multilingual_v2": 10_000,
    "eleven_v3": 5_000,
}
FORMAT = "ulaw_8000"
_PAGE = 2
"""Voices a page, however many were asked for: what is documented is a most."""


class ElevenLabs(SpeechSimulator):
    voices: ClassVar[tuple[str, ...]] = (
        "JBFqnCBsd6RMkjVDRZzb", "EXAVITQu4vr4xnSDxMaL", "21m00Tcm4TlvDq8ikWAM",
    )  # fmt: skip
    malformed: ClassVar[bytes] = b""
    """Raw audio that is damaged is audio still: what a client can tell is an answer without any."""

    def __init__(self) -> None:
        super().__init__()
        self.catalogue = [
            {
                "voice_id": voice,
                "name": f"Voice {number}",
                "category": "premade",
                "verified_languages": [
                    {"language": code, "model_id": model, "locale": None}
                    for code in ("en", "de")
                    for model in ("eleven_v3", "eleven_flash_v2_5")
                ]
                if number
                else None,
            }
            for number, voice in enumerate(self.voices)
        ]

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/text-to-speech/{voice:path}/stream", self._speak, methods=["POST"])
        yield Route("/v2/voices", self._voices, methods=["GET"])

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        return {"detail": {"type": "error", "code": str(status), "status": str(status), "message": message}}

    async def _speak(self, request: Request) -> Response:
        try:
            self._authorise(request)
            spoken = self._read(request, await request.json())
        except Wrong as wrong:
            return self.refuse(wrong)
        self.spoken.append(spoken)
        return self.streamed(pcm_to_ulaw(spoken_pcm(spoken.text, 8_000, spoken.speed)), "audio/basic")

    def _authorise(self, request: Request) -> None:
        if request.headers.get("xi-api-key") != self.key:
            raise Wrong(401, "Invalid API key")

    def _read(self, request: Request, body: dict[str, Any]) -> Spoken:
        only(body, "text", "model_id", "voice_settings", "language_code")
        require(body, "text")
        voice, model = request.path_params["voice"], body.get("model_id", "eleven_multilingual_v2")
        settings: dict[str, Any] = body.get("voice_settings", {})
        if voice not in self.voices:
            raise Wrong(404, f"A voice with voice_id '{voice}' was not found.")
        if model not in LONGEST:
            raise Wrong(400, f"A model with model ID {model} does not exist ...")
        if len(body["text"]) > LONGEST[model]:
            raise Wrong(400, f"This request's text exceeds the character limit of {LONGEST[model]}.")
        if "language_code" in body and "multilingual" in model:
            raise Wrong(400, f"Model '{model}' does not support the language_code parameter.")
        if len(body.get("language_code", "en")) > 3:
            raise Wrong(400, "language_code: use ISO 639-1.")
        only(settings, "stability", "similarity_boost", "style", "speed", "use_speaker_boost")
        for name in ("stability", "similarity_boost", "style"):
            within(settings, name, 0, 1)
        within(settings, "speed", 0.7, 1.2)
        form = request.query_params.get("output_format", "mp3_44100_128")
        if form != FORMAT:
            raise Wrong(400, f"output_format {form}: there is {FORMAT} alone here")
        speed = settings.pop("speed", 1.0)
        return Spoken(body["text"], voice, form, speed, body.get("language_code", ""), settings)

    async def _voices(self, request: Request) -> Response:
        try:
            self._authorise(request)
            if not 1 <= int(request.query_params.get("page_size", 10)) <= 100:
                raise Wrong(422, "page_size: cannot exceed 100")
        except Wrong as wrong:
            return self.refuse(wrong)
        if not isinstance(self.catalogue, list):
            return self.listed()
        start = int(request.query_params.get("next_page_token", "0"))
        end = start + _PAGE
        more = end < len(self.catalogue)
        return JSONResponse(
            {
                "voices": self.catalogue[start:end],
                "has_more": more,
                "total_count": 0,
                "next_page_token": str(end) if more else None,
            }
        )
