"""Text to speech by Google Cloud.

Source: docs.cloud.google.com/text-to-speech/docs/reference/rest/v1 (text.synthesize, voices.list,
AudioConfig). Only gRPC streams there: over REST a piece comes whole, as base64 of a WAV file.

The model is part of a voice's name (`en-US-Chirp3-HD-Kore`), so `model` is the API's version. Chirp 3 HD
voices speak every language that the vendor has: asked for another than its own, such a voice's namesake there
speaks. Others speak their own.

Options: `pitch` -20 to 20 semitones, which Chirp voices do not have; `volume_gain_db` -96 to 16.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar

from engine.audio.g711 import SAMPLE_RATE_HZ
from engine.errors import ConfigurationError, ProviderRefusesUs, ProviderRejected
from engine.providers.base import SpeechRequest
from engine.providers.tts.locales import other_locale
from engine.providers.tts.vendor import VendorTts, Voice
from engine.providers.vendor import VendorHttp, VendorOptions

# Where Google's locales differ (docs.cloud.google.com/text-to-speech/docs/chirp3-hd).
_LOCALES: Mapping[str, str] = {
    "ar": "ar-XA", "ur": "ur-IN", "zh": "cmn-CN", "zh-CN": "cmn-CN", "zh-TW": "cmn-TW",
}  # fmt: skip
_MULAW = 7
"""WAVE_FORMAT_MULAW (RFC 2361)."""


class GoogleTts(VendorTts):
    name: ClassVar[str] = "google"
    default_base_url: ClassVar[str] = "https://texttospeech.googleapis.com"
    default_model: ClassVar[str] = "v1"
    default_voice = "en-US-Chirp3-HD-Kore"
    extras: ClassVar[frozenset[str]] = frozenset({"pitch", "volume_gain_db"})
    speeds: ClassVar[tuple[float, float]] = (0.25, 2.0)
    longest = 5_000

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._pitch = self._number("pitch", -20, 20)
        self._gain_db = self._number("volume_gain_db", -96, 16)
        voice = options.voice or self.default_voice
        if self._pitch and _is_chirp(voice):
            raise ConfigurationError(
                f"google's voice {voice} has no pitch: choose another, or leave it unset"
            )
        self._http = VendorHttp(self, {"x-goog-api-key": options.api_key})

    async def close(self) -> None:
        await self._http.close()

    def size(self, text: str) -> int:
        """In bytes of UTF-8."""
        return len(text.encode(errors="replace"))

    def voice(self, request: SpeechRequest) -> str:
        voice = super().voice(request)
        other = other_locale(voice, request.language, _LOCALES)
        if other and "-Chirp3-HD-" in voice:
            return other + voice.removeprefix(_language_code(voice))
        return voice

    async def _speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        voice = self.voice(request)
        body = {
            "input": {"text": request.text},
            "voice": {"languageCode": _language_code(voice), "name": voice},
            "audioConfig": self._audio_config(request, voice),
        }
        answer = await self._ask("POST", "text:synthesize", json=body)
        with self._as_documented():
            audio = _mulaw(base64.b64decode(answer["audioContent"], validate=True))
        yield audio

    def _audio_config(self, request: SpeechRequest, voice: str) -> dict[str, Any]:
        """Some voices refuse a setting that they do not have even at its neutral value: those stay out."""
        config: dict[str, Any] = {"audioEncoding": "MULAW", "sampleRateHertz": SAMPLE_RATE_HZ}
        if (speed := self.speed(request)) != 1.0:
            config["speakingRate"] = speed
        if self._pitch and not _is_chirp(voice):
            config["pitch"] = self._pitch
        if self._gain_db:
            config["volumeGainDb"] = self._gain_db
        return config

    async def voices(self) -> list[Voice]:
        answer = await self._ask("GET", "voices")
        with self._as_documented():
            return [_voice(each) for each in answer["voices"]]

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            return await self._http.json(method, f"/{self.model}/{path}", **request)
        except ProviderRejected as error:
            # Google answers a wrong key with 400, as if the request were at fault.
            if "API key" in str(error):
                raise ProviderRefusesUs(str(error), provider=self.name) from error
            raise


def _voice(described: Mapping[str, Any]) -> Voice:
    name = described["name"]
    return Voice(name, name.removeprefix(f"{_language_code(name)}-"), tuple(described["languageCodes"]))


def _is_chirp(voice: str) -> bool:
    return "-Chirp" in voice


def _language_code(voice: str) -> str:
    """`en-US` of `en-US-Chirp3-HD-Kore`."""
    return "-".join(voice.split("-")[:2])


def _mulaw(content: bytes) -> bytes:
    """The samples of a mu-law WAV file, or of content without a header. Raises ValueError for other audio."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return content
    at, form = 12, (0, 0, 0)
    while at + 8 <= len(content):
        name, length = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"fmt " and at + 8 <= len(content):
            form = struct.unpack_from("<HHI", content, at)
        elif name == b"data":
            if form != (_MULAW, 1, SAMPLE_RATE_HZ):
                raise ValueError(f"audio of (format, channels, Hz) {form}")
            return content[at : at + length]
        at += length + length % 2
    raise ValueError("a WAV file without audio")
