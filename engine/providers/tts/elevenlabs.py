"""Text to speech by ElevenLabs.

Source: elevenlabs.io/docs/api-reference/text-to-speech/stream and .../voices/search. Asked over REST: the
vendor's SDK has one timeout for connecting and for reading, puts the voice into the path unescaped, and gives
an answer's body whatever its content type, so that a proxy's web page would be played to the caller.

Options: `stability`, `similarity` and `style` 0 to 1, `speaker_boost` true or false, `speed` 0.7 to 1.2. They
override what is stored with the voice; what is not set is left to the vendor.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from engine.errors import ConfigurationError
from engine.providers.base import SpeechRequest
from engine.providers.tts.locales import language_of
from engine.providers.tts.vendor import AUDIO, VendorTts, Voice
from engine.providers.vendor import VendorHttp, VendorOptions

# Characters a request, by model: help.elevenlabs.io/hc/articles/19572237925521, elevenlabs.io/docs/models.
_LONGEST: Mapping[str, int] = {
    "eleven_flash_v2_5": 40_000, "eleven_turbo_v2_5": 40_000, "eleven_flash_v2": 30_000,
    "eleven_turbo_v2": 30_000, "eleven_multilingual_v2": 10_000, "eleven_v3": 5_000,
}  # fmt: skip
_SETTINGS = {"stability": "stability", "similarity": "similarity_boost", "style": "style"}
_PAGE = 100


class ElevenLabsTts(VendorTts):
    name: ClassVar[str] = "elevenlabs"
    default_base_url: ClassVar[str] = "https://api.elevenlabs.io"
    default_model: ClassVar[str] = "eleven_flash_v2_5"
    default_voice = "JBFqnCBsd6RMkjVDRZzb"  # George, one of those that every account has
    extras: ClassVar[frozenset[str]] = frozenset({*_SETTINGS, "speed", "speaker_boost"})
    speeds: ClassVar[tuple[float, float]] = (0.7, 1.2)

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self.longest = _LONGEST.get(self.model, min(_LONGEST.values()))
        values = {theirs: self._number(ours, 0, 1) for ours, theirs in _SETTINGS.items()}
        boost = options.extra.get("speaker_boost")
        if not isinstance(boost, bool | None):
            raise ConfigurationError(f"elevenlabs's option speaker_boost is true or false, not {boost!r}")
        settings = {**values, "use_speaker_boost": boost}
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._http = VendorHttp(self, {"xi-api-key": options.api_key})

    async def close(self) -> None:
        await self._http.close()

    async def _speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        async with self._http.stream(
            "POST",
            f"/v1/text-to-speech/{quote(self.voice(request), safe='')}/stream",
            content_type=AUDIO,
            params={"output_format": "ulaw_8000"},
            json=self._body(request),
        ) as audio:
            async for piece in audio:
                yield piece

    def _body(self, request: SpeechRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"text": request.text, "model_id": self.model}
        settings = dict(self._settings)
        if (speed := self.speed(request)) != 1.0:
            settings["speed"] = speed
        if settings:
            body["voice_settings"] = settings
        # The multilingual models find the language themselves and take no code.
        if request.language and "multilingual" not in self.model:
            body["language_code"] = language_of(request.language)
        return body

    async def voices(self) -> list[Voice]:
        found: list[Voice] = []
        page: dict[str, Any] = {"page_size": _PAGE, "include_total_count": False}
        while True:
            answer = await self._http.json("GET", "/v2/voices", params=page)
            with self._as_documented():
                found += [_voice(each) for each in answer["voices"]]
                if not (answer.get("has_more") and answer.get("next_page_token")):
                    return found
                page["next_page_token"] = str(answer["next_page_token"])


def _voice(described: Mapping[str, Any]) -> Voice:
    languages = dict.fromkeys(each["language"] for each in described.get("verified_languages") or ())
    return Voice(described["voice_id"], described.get("name") or "", tuple(languages))
