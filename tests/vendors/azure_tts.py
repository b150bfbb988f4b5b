"""Azure Speech's text to speech over REST.

Source: learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech,
.../speech-synthesis-markup-structure and .../speech-synthesis-markup-voice (read 2026-11-24). Stricter than
the vendor in one thing: it would overlook a pitch, an effect or a `lang` that it does not know.

Documented request:  POST /cognitiveservices/v1, `Ocp-Apim-Subscription-Key: KEY`,
                     `Content-Type: application/ssml+xml`, `X-Microsoft-OutputFormat: FORMAT`, `User-Agent`,
                     <speak version='1.0' xml:lang='en-US'><voice xml:lang='en-US' xml:gender='Male'
                     name='en-US-ChristopherNeural'>I'm excited to try text to speech!</voice></speak>
Documented response: 200 with the audio, at most ten minutes of it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar
from xml.etree import ElementTree

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from engine.audio.g711 import pcm_to_ulaw
from tests.vendors.speech import SpeechSimulator, Spoken, Wrong, only, require, spoken_pcm, within

FORMAT = "raw-8khz-8bit-mono-mulaw"
TEN_MINUTES = 600 * 8_000
_SSML = "{http://www.w3.org/2001/10/synthesis}"
_MSTTS = "{https://www.w3.org/2001/mstts}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_INSIDE = {
    f"{_SSML}voice": (f"{_MSTTS}express-as", f"{_SSML}lang", f"{_SSML}prosody"),
    f"{_MSTTS}express-as": (f"{_SSML}lang", f"{_SSML}prosody"),
    f"{_SSML}lang": (f"{_SSML}prosody",),
    f"{_SSML}prosody": (),
}
"""What each element may have in it; one at most, here."""


class AzureSpeech(SpeechSimulator):
    voices: ClassVar[tuple[str, ...]] = (
        "en-US-AvaMultilingualNeural", "en-US-JennyNeural", "de-DE-KatjaNeural",
        "en-US-Ava:DragonHDLatestNeural",
    )  # fmt: skip
    malformed: ClassVar[bytes] = b""
    """Raw audio that is damaged is audio still: what a client can tell is an answer without any."""

    def __init__(self) -> None:
        super().__init__()
        self.catalogue = [
            {
                "ShortName": voice,
                "DisplayName": "Ava",
                "LocalName": "Ava",
                "Locale": voice[:5],
                "VoiceType": "Neural",
                **({"SecondaryLocaleList": ["de-DE"]} if "Multilingual" in voice else {}),
            }
            for voice in self.voices
        ]

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/cognitiveservices/v1", self._speak, methods=["POST"])
        yield Route("/cognitiveservices/voices/list", self._voices, methods=["GET"])

    async def _speak(self, request: Request) -> Response:
        try:
            self._authorise(request)
            if request.headers.get("content-type") != "application/ssml+xml":
                raise Wrong(415, "Content-Type should be set to application/ssml+xml")
            if request.headers.get("x-microsoft-outputformat") != FORMAT:
                raise Wrong(400, f"X-Microsoft-OutputFormat: there is {FORMAT} alone here")
            if not 0 < len(request.headers.get("user-agent", "")) < 255:
                raise Wrong(400, "User-Agent is required")
            spoken = _read(await request.body(), self.voices)
        except Wrong as wrong:
            return self.refuse(wrong)
        self.spoken.append(spoken)
        audio = pcm_to_ulaw(spoken_pcm(spoken.text, 8_000, spoken.speed))
        return self.streamed(audio[:TEN_MINUTES], "audio/basic")

    def _authorise(self, request: Request) -> None:
        if request.headers.get("ocp-apim-subscription-key") != self.key:
            raise Wrong(401, "Access denied due to invalid subscription key or wrong API endpoint.")

    async def _voices(self, request: Request) -> Response:
        try:
            self._authorise(request)
        except Wrong as wrong:
            return self.refuse(wrong)
        return self.listed()


def _read(ssml: bytes, voices: tuple[str, ...]) -> Spoken:
    try:
        speak = ElementTree.fromstring(ssml)
    except ElementTree.ParseError as error:
        raise Wrong(400, f"Data is invalid: {error}") from error
    if speak.tag != f"{_SSML}speak" or speak.get("version") != "1.0" or not speak.get(_LANG):
        raise Wrong(400, "The root is a speak of version 1.0 with xmlns and xml:lang.")
    if [child.tag for child in speak] != [f"{_SSML}voice"]:
        raise Wrong(400, "Within each speak element there is a voice.")
    said = dict(_nested(speak[0]))
    voice, prosody = said[f"{_SSML}voice"], said.get(f"{_SSML}prosody", {})
    require(voice, "name")
    only(voice, "name", "effect")
    only(prosody, "rate", "pitch")
    if voice["name"] not in voices:
        raise Wrong(400, f"Unsupported voice {voice['name']}.")
    if voice.get("effect", "eq_telecomhp8k") not in ("eq_car", "eq_telecomhp8k"):
        raise Wrong(400, f"Unknown effect {voice['effect']}.")
    language = said.get(f"{_SSML}lang", {}).get(_LANG, "")
    if f"{_SSML}lang" in said and not ("Multilingual" in voice["name"] and re.fullmatch("..-..", language)):
        raise Wrong(400, f"{voice['name']} cannot speak '{language}'.")
    speed = float(prosody.get("rate", "1"))
    within({"rate": speed}, "rate", 0.5, 2.0)
    options = {
        "style": said.get(f"{_MSTTS}express-as", {}).get("style"),
        "pitch": prosody.get("pitch"),
        "effect": voice.get("effect"),
    }
    text = "".join(speak.itertext())
    return Spoken(text, voice["name"], FORMAT, speed, language, {k: v for k, v in options.items() if v})


def _nested(element: ElementTree.Element) -> Iterator[tuple[str, dict[str, Any]]]:
    """The elements around the text, from the outside, each with its attributes."""
    while True:
        yield element.tag, dict(element.attrib)
        inner = list(element)
        if not inner:
            return
        if len(inner) > 1 or inner[0].tag not in _INSIDE[element.tag]:
            raise Wrong(400, f"{inner[0].tag} cannot be in {element.tag}.")
        element = inner[0]
