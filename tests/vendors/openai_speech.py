"""OpenAI's speech API.

Source: developers.openai.com/api/reference/resources/audio/subresources/speech/methods/create and
.../resources/models/methods/retrieve (read 2026-11-24).

Documented request:  POST /v1/audio/speech, `Authorization: Bearer KEY`, {"model": "gpt-4o-mini-tts",
                     "input": "The quick brown fox jumped over the lazy dog.", "voice": "alloy"}
Documented response: 200 with the audio, `Transfer-Encoding: chunked`; "pcm" is 24 kHz, 16 bit, signed,
                     little-endian, without a header
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.vendors.speech import SpeechSimulator, Spoken, Wrong, only, require, spoken_pcm, within

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LONGEST = 4_096


class OpenAiSpeech(SpeechSimulator):
    models: ClassVar[tuple[str, ...]] = ("gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15", "tts-1", "tts-1-hd")
    voices: ClassVar[tuple[str, ...]] = (
        "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse",
        "marin", "cedar",
    )  # fmt: skip
    malformed: ClassVar[bytes] = b"\x01"
    """Half a sample. Of raw audio that is damaged a client can tell no more than that there is none."""

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/audio/speech", self._speak, methods=["POST"])
        yield Route("/v1/models/{model}", self._model, methods=["GET"])

    async def _speak(self, request: Request) -> Response:
        try:
            self._authorise(request)
            spoken = self._read(await request.json())
        except Wrong as wrong:
            return self.refuse(wrong)
        self.spoken.append(spoken)
        pcm = spoken_pcm(spoken.text, 24_000, spoken.speed)
        return self.streamed(pcm.astype("<i2").tobytes(), "audio/pcm")

    def _authorise(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Wrong(401, "Incorrect API key provided: ****")

    def _read(self, body: dict[str, Any]) -> Spoken:
        only(body, "model", "input", "voice", "instructions", "response_format", "speed", "stream_format")
        require(body, "model", "input", "voice")
        voice = body["voice"]["id"] if isinstance(body["voice"], dict) else body["voice"]
        if body["model"] not in self.models:
            raise Wrong(404, f"The model `{body['model']}` does not exist or you do not have access to it.")
        if voice not in self.voices and not (isinstance(body["voice"], dict) and voice.startswith("voice_")):
            raise Wrong(400, f"Invalid value: '{voice}'. Supported values are: {self.voices}.")
        if len(body["input"]) > LONGEST:
            raise Wrong(400, f"string_too_long: String should have at most {LONGEST} characters")
        within(body, "speed", 0.25, 4.0)
        form = body.get("response_format", "mp3")
        if form not in FORMATS:
            raise Wrong(400, f"Invalid value: '{form}'. Supported values are: {FORMATS}.")
        if form != "pcm":
            raise Wrong(400, f"response_format {form}: there is pcm alone here")
        options = {"instructions": body["instructions"]} if "instructions" in body else {}
        return Spoken(body["input"], voice, form, body.get("speed", 1.0), "", options)

    async def _model(self, request: Request) -> Response:
        model = request.path_params["model"]
        try:
            self._authorise(request)
            if model not in self.models:
                raise Wrong(404, f"The model '{model}' does not exist")
        except Wrong as wrong:
            return self.refuse(wrong)
        return JSONResponse({"id": model, "object": "model", "created": 1734034239, "owned_by": "system"})
