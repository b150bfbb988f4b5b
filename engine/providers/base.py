"""What every provider of a kind looks like, local or vendor, and the results it returns.

Audio at these seams is G.711 mu-law, 8,000 Hz, mono, one byte a sample: what the telephone carries and
what crosses process borders cheaply. A provider that wants something else converts inside.

All methods are cancellable at any await and leave nothing running. They raise only `ProviderError`s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Literal, Protocol

from engine.errors import ProviderUnavailable

SAMPLE_RATE_HZ = 8_000


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that was decided on a request's way down its chain of providers.

    `not asked`: its breaker is open; `not retried`: the retries are used up; `hedged`: another was asked
    besides; `broke off`: it failed in the middle of a reply, which another goes on with.
    """

    provider: str
    what: Literal["not asked", "not retried", "failed", "too slow", "hedged", "broke off", "answered"]
    after_ms: int = 0


Route = tuple[Decision, ...]
"""Empty when the first of a chain answered."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was heard; times in ms from the utterance's beginning."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `text` is empty when nothing was understood (noise, silence)."""

    text: str
    language: str = "en"
    language_probability: float = 1.0
    avg_logprob: float | None = None
    no_speech_probability: float | None = None
    audio_ms: int = 0
    decode: Literal["window", "full", "stream"] = "window"
    """How it was decoded: right-sized window, the full 30 s window, or as it was heard."""
    served_by: str = ""
    """The model or vendor, for the turn's timeline; so with the other results."""
    confidence: float | None = None
    words: tuple[Word, ...] = ()
    """Where the provider tells them apart."""
    load: float | None = None
    """How many times as long such work takes lately as it would alone, where the provider tells."""
    route: Route = ()


class SttSession(Protocol):
    """One utterance. `push` never blocks; `finish` may be called once; `close` at any time, also instead."""

    def push(self, audio: bytes) -> None: ...
    async def finish(self) -> Transcript: ...
    async def close(self) -> None: ...


class SpeechToText(Protocol):
    @property
    def live(self) -> bool:
        """Whether it listens while the caller speaks, and wants audio as it comes."""
        ...

    def session(self, *, language: str = "en") -> SttSession: ...


class TurnModel(Protocol):
    async def score(self, audio: bytes) -> float:
        """Probability (0 to 1) that the caller has finished; looks at the last 8 s at most."""
        ...

    async def words(self, text: str, language: str) -> float:
        """Probability (0 to 1) that the words are a finished utterance; 0.5 where that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the model may ask for. `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is JSON as the model wrote it, whole but not checked."""

    id: str
    name: str
    arguments: str


class Purpose(Enum):
    """What a prompt is sent for. But for a reply it is read ahead of time: what comes back means nothing."""

    REPLY = auto()
    OPENING = auto()
    """All requests of an agent begin with it."""
    BEGINNING = auto()
    """The next request of this `cache_key` will begin with it."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A prompt. `continue_from` is the beginning of the reply that the caller has already heard."""

    messages: tuple[Message, ...]
    max_tokens: int = 80
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    continue_from: str = ""
    cache_key: str = ""
    """Same value for all turns of a call: requests with it like the same replica and prefix cache."""
    tools: tuple[Tool, ...] = ()
    purpose: Purpose = Purpose.REPLY


@dataclass(frozen=True, slots=True)
class ChatDelta:
    """A piece of reply text; the last one has `finish_reason` set and, where known, token counts."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    served_by: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Whole ones, on the last delta."""
    route: Route = ()
    """Of the whole reply, on the last delta."""


class LanguageModel(Protocol):
    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Close the generator to leave early."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """Text ready to be spoken (already normalised). `cache`: a fixed phrase, worth keeping."""

    text: str
    voice: str = ""
    language: str = "en"
    speed: float = 1.0
    cache: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """Spoken text, or a part of it: mu-law 8 kHz, trimmed of leading silence."""

    audio: bytes
    voice: str
    cached: bool = False
    served_by: str = ""
    encoding: Literal["mulaw"] = "mulaw"
    rate_hz: int = SAMPLE_RATE_HZ
    route: Route = ()
    last: bool = True
    """Whether all of it is said with this part."""


class TextToSpeech(Protocol):
    def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        """The text in parts, as they come; close the generator to leave early."""
        ...


async def whole(parts: AsyncGenerator[Speech, None]) -> Speech:
    """All that `TextToSpeech.speak` gives, as one. Raises ProviderUnavailable where its end is missing."""
    audio = bytearray()
    route: list[Decision] = []
    async with aclosing(parts):
        async for part in parts:
            audio += part.audio
            route += part.route
            if part.last:
                return replace(part, audio=bytes(audio), route=tuple(route))
    raise ProviderUnavailable("the speech ended without its last part")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a company's knowledge. `score`: how well it answers, -0.5 to 1 (`engine.knowledge`)."""

    text: str
    score: float
    source: str = ""
    page: int | None = None
    document_id: str = ""


Role = Literal["query", "document"]
"""Models embed a question and the text that answers it in different ways."""


class Embedder(Protocol):
    """Vectors of `dimension` numbers, length 1. Only vectors of the same `space` can be compared."""

    @property
    def dimension(self) -> int: ...
    @property
    def space(self) -> str: ...
    async def embed(
        self, texts: Sequence[str], *, role: Literal["query", "document"]
    ) -> list[list[float]]: ...
