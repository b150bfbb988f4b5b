"""Models that only take their time: what the engine is measured with when no model is to be in the way.

Every stub is in-process, deterministic, and waits for a fixed number of ms as if a model were at work. The
caller is taken to have asked `QUESTION`, whatever was said, and is answered `ANSWER`, in a tone that lasts as
long as the words would. Never for real callers: a server with stubs refuses to start outside development.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.audio.g711 import pcm_to_ulaw
from engine.errors import ConfigurationError
from engine.providers.base import (
    SAMPLE_RATE_HZ,
    ChatDelta,
    ChatRequest,
    Passage,
    Speech,
    SpeechRequest,
    SttSession,
    Transcript,
)
from engine.providers.stt.session import BufferedSession
from engine.speech.clauses import ClauseCutter

QUESTION = "When are you open on Mondays?"
FACT = "We are open Monday to Friday from 8 am to 6 pm."
ANSWER = "We are open Monday to Friday from 8 am to 6 pm."

SAMPLES_A_CHARACTER = SAMPLE_RATE_HZ // 15
"""About 15 characters a second are spoken."""

_TONE_HZ, _AMPLITUDE = 440, 8_000
_SECOND = np.arange(SAMPLE_RATE_HZ) * (2 * np.pi * _TONE_HZ / SAMPLE_RATE_HZ)
_TONE = pcm_to_ulaw((_AMPLITUDE * np.sin(_SECOND)).astype(np.int16))
"""One second, mu-law, 15 dB below full scale: whole periods, so that it can be repeated."""


class StubDelays(BaseModel):
    """How long each stub takes, in ms. The defaults are near those of small models on a GPU."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stt_ms: float = Field(default=60.0, ge=0, description="a whole utterance")
    turn_ms: float = Field(default=20.0, ge=0, description="a score, by sound or by words")
    search_ms: float = Field(default=10.0, ge=0)
    first_token_ms: float = Field(default=60.0, ge=0, description="from the request to the first word")
    token_ms: float = Field(default=10.0, ge=0, description="from one word to the next")
    tts_ms: float = Field(default=50.0, ge=0, description="a piece of speech, whatever its length")

    @property
    def first_clause_ms(self) -> float:
        """From the first word of `ANSWER` to the one that shows where its first clause ends."""
        return (words_of_first_clause() - 1) * self.token_ms


def read_delays(text: str, environment: str) -> StubDelays:
    """Delays from JSON. Raises ConfigurationError, also where there may be real callers."""
    if environment != "development":
        raise ConfigurationError("stubs answer no caller: they need PARLEY_ENVIRONMENT=development")
    try:
        return StubDelays.model_validate_json(text)
    except ValueError as error:
        raise ConfigurationError(f"stubs: {' '.join(str(error).split())}") from error


class StubStt:
    """Hears `QUESTION` in any audio, and nothing where there is none."""

    live = False

    def __init__(self, delays: StubDelays) -> None:
        self._delays = delays

    def session(self, *, language: str = "en") -> SttSession:
        return BufferedSession(self._transcribe, language=language, provider="stub")

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        await _wait_ms(self._delays.stt_ms)
        audio_ms = len(audio) * 1000 // SAMPLE_RATE_HZ
        return Transcript(QUESTION if audio else "", language, audio_ms=audio_ms)


class StubTurnModel:
    """Takes every pause for the end of a turn."""

    def __init__(self, delays: StubDelays) -> None:
        self._delays = delays

    async def score(self, audio: bytes) -> float:
        await _wait_ms(self._delays.turn_ms)
        return 1.0

    async def words(self, text: str, language: str) -> float:
        """Probability that the words are a finished utterance."""
        await _wait_ms(self._delays.turn_ms)
        return 1.0


class StubKnowledge:
    """Finds `FACT` for every query, certain that it is the answer."""

    def __init__(self, delays: StubDelays) -> None:
        self._delays = delays

    async def search(self, company_id: str, query: str, limit: int, language: str) -> Sequence[Passage]:
        await _wait_ms(self._delays.search_ms)
        return [Passage(FACT, 1.0, source="stub")][:limit]


class StubLanguageModel:
    """Says `ANSWER`, or the rest of it, word by word at a fixed pace."""

    def __init__(self, delays: StubDelays) -> None:
        self._delays = delays

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        words = deltas(ANSWER.removeprefix(request.continue_from))
        said = words[: request.max_tokens]
        # By an absolute schedule, as a GPU would: a word that is taken late does not delay those after it.
        due = asyncio.get_running_loop().time() + self._delays.first_token_ms / 1000
        for word in said:
            await _wait_ms((due - asyncio.get_running_loop().time()) * 1000)
            yield ChatDelta(word)
            due += self._delays.token_ms / 1000
        reason = "stop" if len(said) == len(words) else "length"
        yield ChatDelta("", finish_reason=reason, completion_tokens=len(said))


class StubTts:
    """Speaks in one unbroken tone."""

    def __init__(self, delays: StubDelays) -> None:
        self._delays = delays

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        await _wait_ms(self._delays.tts_ms)
        yield Speech(tone(len(request.text) * SAMPLES_A_CHARACTER), request.voice)


def tone(samples: int) -> bytes:
    """So much of a tone, mu-law 8 kHz."""
    return (_TONE * (samples // len(_TONE) + 1))[:samples]


def deltas(text: str) -> list[str]:
    """A text as a language model's tokens come: words, each but the first with the space before it."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def words_of_first_clause() -> int:
    """How many words of `ANSWER` must be there until its first clause is known to be one."""
    words, cutter = deltas(ANSWER), ClauseCutter()
    for number, word in enumerate(words, 1):
        if any(piece.strip() for piece in cutter.push(word)):
            return number
    return len(words)


async def _wait_ms(ms: float) -> None:
    await asyncio.sleep(max(0.0, ms) / 1000)
