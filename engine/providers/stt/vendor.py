"""The base of speech-to-text vendors: formats in, sessions out."""

from __future__ import annotations

import io
import wave
from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import alaw_to_pcm, pcm_to_ulaw, ulaw_to_pcm
from engine.providers.base import SAMPLE_RATE_HZ, SttSession, Transcript
from engine.providers.stt.session import BufferedSession
from engine.providers.vendor import Vendor


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Mono audio: G.711 (one byte a sample) or little-endian int16."""

    encoding: Literal["mulaw", "alaw", "pcm16"] = "mulaw"
    rate_hz: int = SAMPLE_RATE_HZ

    @property
    def bytes_per_s(self) -> int:
        return self.rate_hz * (2 if self.encoding == "pcm16" else 1)

    def duration_ms(self, audio: bytes) -> int:
        return len(audio) * 1000 // self.bytes_per_s

    def to_pcm(self, audio: bytes) -> NDArray[np.int16]:
        """Shape (samples,), at `rate_hz`; half a sample at the end is left off."""
        match self.encoding:
            case "mulaw":
                return ulaw_to_pcm(audio)
            case "alaw":
                return alaw_to_pcm(audio)
            case "pcm16":
                return np.frombuffer(audio[: len(audio) // 2 * 2], "<i2").astype(np.int16, copy=False)

    def to_wav(self, audio: bytes) -> bytes:
        """A whole PCM16 WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(self.rate_hz)
            writer.writeframes(self.to_pcm(audio).astype("<i2").tobytes())
        return file.getvalue()


TELEPHONE = AudioFormat()
SAMPLE = pcm_to_ulaw(np.zeros(SAMPLE_RATE_HZ // 2, np.int16))
"""Half a second of silence: what a health check has transcribed."""


class VendorStt(Vendor):
    """A SpeechToText. `language`: ISO 639-1, or "auto" to let the vendor detect it.

    Vendors that take whole utterances implement `transcribe`; live ones override `session` too.
    """

    def session(self, *, language: str = "en", audio: AudioFormat = TELEPHONE) -> SttSession:
        async def transcribe(utterance: bytes, language: str) -> Transcript:
            if not utterance:
                return Transcript("", language, served_by=self.served_by)
            return await self.transcribe(utterance, audio, language)

        return BufferedSession(
            transcribe, language=language, provider=self.name, bytes_per_s=audio.bytes_per_s
        )

    @abstractmethod
    async def transcribe(self, audio: bytes, form: AudioFormat, language: str) -> Transcript:
        """One utterance, not empty. Raises ProviderErrors."""

    @property
    def served_by(self) -> str:
        return f"{self.name}/{self.model}"

    async def sample(self) -> str:
        await self.transcribe(SAMPLE, TELEPHONE, "en")
        return self.model
