"""Text to speech by Azure Speech.

Source: learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech, and its SSML:
.../speech-synthesis-markup-structure and .../speech-synthesis-markup-voice. There is no model to choose but
the voice: `model` is the endpoint's version.

A multilingual voice is told the request's language; others speak their own and take no such element. Audio
of more than ten minutes is cut off by the vendor without a word, so longer texts are refused here.

Options: `region`, such as westeurope (needed, unless a base URL is given); `style`, such as customerservice;
`rate` 0.5 to 2, the voice's own speed; `pitch`, as SSML writes it: +5%, -2st, high.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from engine.errors import ConfigurationError
from engine.providers.base import SpeechRequest
from engine.providers.tts.locales import other_locale
from engine.providers.tts.vendor import AUDIO, VendorTts, Voice
from engine.providers.vendor import VendorHttp, VendorOptions

OUTPUT_FORMAT = "raw-8khz-8bit-mono-mulaw"
_REGION = re.compile("[a-z0-9]+")
# The vendor ignores a pitch that it does not understand; an operator would rather hear of it.
_PITCH = re.compile(r"[+-]?\d+(\.\d+)?(%|st|Hz)|x-low|low|medium|high|x-high")


class AzureTts(VendorTts):
    name: ClassVar[str] = "azure"
    default_base_url: ClassVar[str] = ""
    """Made of the region."""
    default_model: ClassVar[str] = "v1"
    default_voice = "en-US-AvaMultilingualNeural"
    extras: ClassVar[frozenset[str]] = frozenset({"region", "style", "rate", "pitch"})
    speeds: ClassVar[tuple[float, float]] = (0.5, 2.0)
    speed_option: ClassVar[str] = "rate"
    longest = 1_500
    """Ten minutes of Chinese at half speed; Latin script has five times as many characters a minute."""

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._style, self._pitch = self._text("style"), self._text("pitch")
        if self._pitch and not _PITCH.fullmatch(self._pitch):
            raise ConfigurationError(f"azure's option pitch is like +5%, -2st or high, not {self._pitch!r}")
        self.base_url = self.base_url or _endpoint(self._text("region"))
        self._http = VendorHttp(self, {"Ocp-Apim-Subscription-Key": options.api_key, "User-Agent": "parley"})

    async def close(self) -> None:
        await self._http.close()

    async def _speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        async with self._http.stream(
            "POST",
            f"/cognitiveservices/{self.model}",
            content_type=AUDIO,
            headers={"Content-Type": "application/ssml+xml", "X-Microsoft-OutputFormat": OUTPUT_FORMAT},
            content=self._ssml(request).encode(),
        ) as audio:
            async for piece in audio:
                yield piece

    def _ssml(self, request: SpeechRequest) -> str:
        voice = self.voice(request)
        inner = escape(request.text)
        prosody = ""
        if (speed := self.speed(request)) != 1.0:
            prosody += f' rate="{speed:g}"'
        if self._pitch:
            prosody += f" pitch={quoteattr(self._pitch)}"
        if prosody:
            inner = f"<prosody{prosody}>{inner}</prosody>"
        other = other_locale(voice, request.language)
        if other and "Multilingual" in voice:
            inner = f"<lang xml:lang={quoteattr(other)}>{inner}</lang>"
        if self._style:
            inner = f"<mstts:express-as style={quoteattr(self._style)}>{inner}</mstts:express-as>"
        # The root's language is en-US whatever is spoken. The effect is for 8 kHz telephones.
        return (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis"'
            ' xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="en-US">'
            f'<voice name={quoteattr(voice)} effect="eq_telecomhp8k">{inner}</voice></speak>'
        )

    async def voices(self) -> list[Voice]:
        answer = await self._http.json("GET", "/cognitiveservices/voices/list")
        with self._as_documented():
            return [
                Voice(
                    each["ShortName"],
                    each["LocalName"],
                    (each["Locale"], *each.get("SecondaryLocaleList", ())),
                )
                for each in answer
            ]


def _endpoint(region: str) -> str:
    if not _REGION.fullmatch(region):
        raise ConfigurationError(f"azure needs the option region, such as westeurope, not {region!r}")
    return f"https://{region}.tts.speech.microsoft.com"
