"""The base of text-to-speech vendors: a stream of mu-law, or a finished piece."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from engine.audio.g711 import SAMPLE_RATE_HZ, ulaw_to_float
from engine.errors import ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest
from engine.providers.tts.finish import finish
from engine.providers.vendor import Vendor


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

    @abstractmethod
    def stream(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        """mu-law 8 kHz as the vendor sends it, in pieces of any length. Raises ProviderErrors.

        Closing the generator early hangs up. Text without anything to speak gives no piece.
        """

    @abstractmethod
    async def voices(self) -> list[Voice]:
        """What this account may use. Raises ProviderErrors."""

    async def synthesise(self, request: SpeechRequest) -> Speech:
        """A piece, trimmed and levelled as the local voice's."""
        if not any(char.isalnum() for char in request.text):
            return Speech(b"", self.voice(request), served_by=self.served_by)
        audio = bytearray()
        async with aclosing(self.stream(request)) as pieces:
            async for piece in pieces:
                audio += piece
        if not audio:
            raise ProviderUnavailable(f"{self.name} sent no audio", provider=self.name)
        piece = finish([ulaw_to_float(audio)], SAMPLE_RATE_HZ, request.text)
        return Speech(piece, self.voice(request), served_by=self.served_by)

    def voice(self, request: SpeechRequest) -> str:
        vendor, _, voice = request.voice.partition(":")
        return voice if vendor == self.name and voice else self.options.voice or self.default_voice

    @property
    def served_by(self) -> str:
        return f"{self.name}/{self.model}"

    async def sample(self) -> str:
        return f"{self.model}, {len(await self.voices())} voices"
