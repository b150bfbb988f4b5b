"""Text to speech by OpenAI, and by whoever serves its speech API.

Source: developers.openai.com/api/reference/resources/audio/subresources/speech/methods/create and
developers.openai.com/api/docs/guides/text-to-speech. The answer is raw PCM: 24 kHz, 16 bit, little-endian,
mono. OpenAI shuts its speech models down on 2027-01-06 and names none to follow them behind this API
(developers.openai.com/api/docs/deprecations).

Options: `speed` 0.25 to 4; `instructions`, in words, on how to speak, which `tts-1` models do not take.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import httpx2
import numpy as np
import openai

from engine.audio.g711 import SAMPLE_RATE_HZ, pcm_to_ulaw
from engine.audio.resample import Resampler
from engine.errors import ConfigurationError
from engine.providers.base import SpeechRequest
from engine.providers.openai_sdk import provider_error, sdk
from engine.providers.tts.locales import language_of
from engine.providers.tts.vendor import AUDIO, VendorTts, Voice
from engine.providers.vendor import VendorOptions, refuse_other_type

PCM_RATE_HZ = 24_000
VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer",
    "verse",
)  # fmt: skip


class OpenAiTts(VendorTts):
    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_model: ClassVar[str] = "gpt-4o-mini-tts"
    default_voice = "marin"
    extras: ClassVar[frozenset[str]] = frozenset({"instructions", "speed"})
    speeds: ClassVar[tuple[float, float]] = (0.25, 4.0)
    longest = 4_096

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._instructions = self._text("instructions")
        if self._instructions and not self._takes_instructions:
            raise ConfigurationError(f"openai's model {self.model} takes no instructions")
        self._client = sdk(self)

    @property
    def _takes_instructions(self) -> bool:
        return not self.model.startswith("tts-1")

    async def close(self) -> None:
        await self._client.close()

    async def _speak(self, request: SpeechRequest) -> AsyncGenerator[bytes, None]:
        telephone = _Telephone()
        speech = self._client.audio.speech.with_streaming_response
        try:
            async with speech.create(**self._body(request)) as response:
                refuse_other_type(self.name, response.headers, AUDIO)
                async for piece in response.iter_bytes():
                    yield telephone.push(piece)
                yield telephone.finish()
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise provider_error(error, self.name) from error

    def _body(self, request: SpeechRequest) -> dict[str, Any]:
        voice = self.voice(request)
        body: dict[str, Any] = {
            "model": self.model,
            "input": request.text,
            "voice": {"id": voice} if voice.startswith("voice_") else voice,
            "response_format": "pcm",
        }
        if (speed := self.speed(request)) != 1.0:
            body["speed"] = speed
        # There is no field for the language: the model goes by the text, and by what it is told.
        if self._takes_instructions and language_of(request.language) not in ("", "en"):
            told = f"The text's language is {request.language} (BCP 47). {self._instructions}".strip()
        else:
            told = self._instructions
        if told:
            body["instructions"] = told
        return body

    async def voices(self) -> list[Voice]:
        """The built-in ones; the API lists none."""
        return [Voice(name, name.capitalize()) for name in VOICES]


class _Telephone:
    """The vendor's PCM, cut anywhere, to mu-law."""

    def __init__(self) -> None:
        self._resampler = Resampler(PCM_RATE_HZ, SAMPLE_RATE_HZ)
        self._half = b""

    def push(self, data: bytes) -> bytes:
        data = self._half + data
        whole = len(data) // 2 * 2
        self._half = data[whole:]
        pcm = np.frombuffer(data[:whole], "<i2").astype(np.int16, copy=False)
        return pcm_to_ulaw(self._resampler.push(pcm))

    def finish(self) -> bytes:
        """The rest; half a sample at the end is left off."""
        return pcm_to_ulaw(self._resampler.finish())
