"""The base of text-to-speech vendors: a stream of mu-law, or a finished piece."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from engine.audio.g711 import SAMPLE_RATE_HZ, ulaw_to_float
from engine.errors import ConfigurationError, ProviderRejected, ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest, whole
from engine.providers.tts.finish import Finisher, Level
from engine.providers.vendor import Vendor, VendorOptions

AUDIO = ("audio/", "application/octet-stream")
"""What the content type of an answer with raw audio begins with."""

PART_SAMPLES = 1_920
"""240 ms, of 8 kHz, at least: by then the vendor is ahead of the ear by more than its packets are apart."""
MOST_VOICES = 100

# Control characters, halves of surrogate pairs and non-characters: XML 1.0 has no way to write them, UTF-8
# none for the surrogates, and no voice one to say them.
_UNSPEAKABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Voice:
    """`languages`: BCP 47 tags or ISO 639-1 codes; empty where the voice speaks whatever it is given."""

    id: str
    name: str
    languages: tuple[str, ...] = ()


class VendorTts(Vendor):
    """A TextToSpeech. `SpeechRequest.voice` may be a local voice's name, which the vendor does not know.

    So a request's voice counts only when it is written `NAME:VOICE`, NAME being the vendor's; otherwise the
    options' voice speaks, or the class's default.
    """

    default_voice: str
    speeds: ClassVar[tuple[float, float]]
    """The slowest and the fastest that the vendor speaks, 1.0 being normal."""
    speed_option: ClassVar[str] = "speed"
    """The extra that is the voice's own speed, by which a request's speed is multiplied."""
    longest: int
    """The most that `size` of a text may be."""

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        own = self._number(self.speed_option, *self.speeds)
        self._own_speed = 1.0 if own is None else own
        self._levels: dict[str, Level] = {}

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        """mu-law 8 kHz as the vendor sends it, in pieces of any length but none.

        Closing the generator early hangs up. Text without anything to speak gives no piece and asks nobody;
        text that is too long is refused before anybody is asked. Raises ProviderErrors.
        """
        if not _speakable(request.text):
            return
        if (size := self.size(request.text)) > self.longest:
            raise ProviderRejected(
                f"a text of {size} is more than the {self.longest} that {self.name} takes: cut it",
                provider=self.name,
            )
        silent = True
        request = replace(request, text=_UNSPEAKABLE.sub(" ", request.text))
        async with aclosing(self._speak(request)) as pieces:
            async for piece in pieces:
                if piece:
                    silent = False
                    yield piece
        if silent:
            raise ProviderUnavailable(f"{self.name} sent no audio", provider=self.name)

    @abstractmethod
    def _speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        """mu-law 8 kHz of a text that has something to speak. Closing it hangs up. Raises ProviderErrors."""

    @abstractmethod
    async def voices(self) -> list[Voice]:
        """What this account may use. Raises ProviderErrors."""

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        """A piece, trimmed and levelled as the local voice's, in parts of one length as they come.

        So a vendor that sends no slower than a voice speaks leaves no gap.
        """
        voice, ready = self.voice(request), bytearray()
        finisher = Finisher(SAMPLE_RATE_HZ, request.text, self._level(voice))
        async with aclosing(self.stream(request)) as pieces:
            async for piece in pieces:
                ready += finisher.push(ulaw_to_float(piece))
                if len(ready) >= PART_SAMPLES:
                    yield Speech(bytes(ready), voice, served_by=self.served_by, last=False)
                    ready.clear()
        yield Speech(bytes(ready + finisher.end()), voice, served_by=self.served_by)

    async def synthesise(self, request: SpeechRequest) -> Speech:
        """A whole piece."""
        return await whole(self.speak(request))

    def _level(self, voice: str) -> Level:
        level = self._levels.setdefault(voice, Level())
        while len(self._levels) > MOST_VOICES:
            del self._levels[next(iter(self._levels))]
        return level

    def voice(self, request: SpeechRequest) -> str:
        vendor, _, voice = request.voice.partition(":")
        return voice if vendor == self.name and voice else self.options.voice or self.default_voice

    def size(self, text: str) -> int:
        """As the vendor counts it: in characters, unless a class says otherwise."""
        return len(text)

    def speed(self, request: SpeechRequest) -> float:
        """The request's speed times the voice's own, or the nearest that the vendor speaks."""
        slowest, fastest = self.speeds
        return round(min(fastest, max(slowest, request.speed * self._own_speed)), 2)

    @property
    def served_by(self) -> str:
        return f"{self.name}/{self.model}"

    async def sample(self) -> str:
        """That voices are listed would not show that they speak."""
        speech = await self.synthesise(SpeechRequest("Hello."))
        return f"{self.model}, {speech.voice}"

    def _number(self, name: str, low: float, high: float) -> float | None:
        """An extra that must be a number in a range, where it is set. Raises ConfigurationError."""
        value = self.options.extra.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ConfigurationError(
                f"{self.name}'s option {name} must be {low:g} to {high:g}, not {value!r}"
            )
        return float(value)

    def _text(self, name: str) -> str:
        """An extra that must be text; "" where it is not set. Raises ConfigurationError."""
        value = self.options.extra.get(name, "")
        if not isinstance(value, str):
            raise ConfigurationError(f"{self.name}'s option {name} must be text, not {value!r}")
        return value

    @contextmanager
    def _as_documented(self) -> Iterator[None]:
        """Around the reading of an answer's JSON: what is not shaped as the vendor says is its fault."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProviderUnavailable(
                f"{self.name} sent JSON that is not what it documents", provider=self.name
            ) from error


def _speakable(text: str) -> bool:
    return any(char.isalnum() for char in text)
