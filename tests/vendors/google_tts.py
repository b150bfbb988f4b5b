"""Google Cloud's text to speech over REST.

Source: docs.cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize, .../voices/list,
.../AudioConfig, docs.cloud.google.com/text-to-speech/quotas and .../docs/chirp3-hd (read 2026-11-24). A wrong
key's 400 and a Chirp voice's refusal of a pitch are as in home-assistant/core#144824 and vivet/GoogleApi#375.

Documented request:  POST /v1/text:synthesize, `x-goog-api-key: KEY`, {"input": {"text": "..."},
                     "voice": {"languageCode": "en-US", "name": "en-US-Chirp3-HD-Kore"},
                     "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8000}}
Documented response: {"audioContent": "UklGRg..."}: base64; MULAW comes with a WAV header
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.audio.g711 import pcm_to_ulaw
from tests.vendors.speech import SpeechSimulator, Spoken, Wrong, only, require, spoken_pcm, within

LONGEST_BYTES = 5_000
MULAW = 7


def wav(samples: bytes, *, form: int = MULAW, rate_hz: int = 8_000) -> bytes:
    """A WAV file of 8-bit mono samples, with the `fact` chunk that encodings other than PCM have."""
    chunks = (
        (b"fmt ", struct.pack("<HHIIHHH", form, 1, rate_hz, rate_hz, 1, 8, 0)),
        (b"fact", struct.pack("<I", len(samples))),
        (b"odd ", b"x\0"[:1]),
        (b"data", samples),
    )
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


class GoogleSpeech(SpeechSimulator):
    """`header`: whether audio comes as a WAV file."""

    voices: ClassVar[tuple[str, ...]] = (
        "en-US-Chirp3-HD-Kore", "de-DE-Chirp3-HD-Kore", "en-GB-Chirp3-HD-Kore", "cmn-CN-Chirp3-HD-Kore",
        "en-US-Neural2-C", "de-DE-Neural2-B",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.header = True
        self.content: bytes | None = None
        """Audio other than what was asked for."""
        self.catalogue = {
            "voices": [
                {
                    "languageCodes": ["-".join(voice.split("-")[:2])],
                    "name": voice,
                    "ssmlGender": "FEMALE",
                    "naturalSampleRateHertz": 24000,
                }
                for voice in self.voices
            ]
        }

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/text:synthesize", self._speak, methods=["POST"])
        yield Route("/v1/voices", self._voices, methods=["GET"])

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}

    async def _speak(self, request: Request) -> Response:
        try:
            self._authorise(request)
            spoken = self._read(await request.json())
        except Wrong as wrong:
            return self.refuse(wrong)
        self.spoken.append(spoken)
        samples = pcm_to_ulaw(spoken_pcm(spoken.text, 8_000, spoken.speed))
        content = self.content or (wav(samples) if self.header else samples)
        return JSONResponse({"audioContent": base64.b64encode(content).decode()})

    def _authorise(self, request: Request) -> None:
        if request.headers.get("x-goog-api-key") != self.key:
            raise Wrong(400, "API key not valid. Please pass a valid API key.")

    def _read(self, body: dict[str, Any]) -> Spoken:
        only(body, "input", "voice", "audioConfig")
        require(body, "input", "voice", "audioConfig")
        text, voice, config = body["input"], body["voice"], body["audioConfig"]
        only(text, "text")
        only(voice, "languageCode", "name")
        only(config, "audioEncoding", "sampleRateHertz", "speakingRate", "pitch", "volumeGainDb")
        require(text, "text")
        require(voice, "languageCode", "name")
        require(config, "audioEncoding")
        name = voice["name"]
        if len(text["text"].encode()) > LONGEST_BYTES:
            raise Wrong(400, "Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes.")
        if name not in self.voices:
            raise Wrong(400, f"Voice '{name}' does not exist. Is it misspelled?")
        if not name.startswith(f"{voice['languageCode']}-"):
            raise Wrong(400, "Requested language code doesn't match the voice's.")
        if (config["audioEncoding"], config.get("sampleRateHertz")) != ("MULAW", 8_000):
            raise Wrong(400, "there is MULAW at 8000 Hz alone here")
        if "pitch" in config and "-Chirp" in name:
            raise Wrong(400, "This voice does not support pitch parameters at this time.")
        within(config, "speakingRate", 0.25, 2.0)
        within(config, "pitch", -20, 20)
        within(config, "volumeGainDb", -96, 16)
        options = {key: config[key] for key in ("pitch", "volumeGainDb") if key in config}
        speed = config.get("speakingRate", 1.0)
        return Spoken(text["text"], name, config["audioEncoding"], speed, voice["languageCode"], options)

    async def _voices(self, request: Request) -> Response:
        try:
            self._authorise(request)
        except Wrong as wrong:
            return self.refuse(wrong)
        return self.listed()
