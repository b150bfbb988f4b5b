"""Voices in this process behind the async seam: a bounded queue, a few threads, and the phrase cache.

A piece is made in steps, each of which ends with a part that may be played. Between two of them another
call's step may come first: the threads go to the step that is due first. A call's first part is due when it
is asked for, a further one shortly before what was given out has been played.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import SAMPLE_RATE_HZ, Speech, SpeechRequest, whole
from engine.providers.due import Turns
from engine.providers.tts.cache import PhraseCache, PhraseKey

NAME = "tts"
STUCK_S = 30.0
"""A step that takes longer has hung: the longest text allowed needs a few seconds even as one step."""


MARGIN_S = 0.5
"""A further part is due so long before the audio runs out: a gap in a word is worse than a later beginning.

Simulated with piper-joe's times, for sentences of 20 words that come at random and keep a worker busy half
of the time: with 0.15 s, 2.2 % have a gap and first parts take 159 ms (95th percentile); with 0.5 s, 0.2 %
and 202 ms. Busy 70 % of the time: 11 % and 218 ms, 3 % and 337 ms. The median moves by less than 10 ms.
"""


CAUTION = 2.6
"""A piece's beginning is given out when it lasts so many times longer than it took: the next part is twice as
long, and should be there before. On cores and threads that are busy that is later, up to all of the piece."""


class Part(NamedTuple):
    """Some of a piece's audio, and whether it is the last of it."""

    audio: bytes
    last: bool = False


class VoiceModel(Protocol):
    """A blocking voice; its methods may be called from several threads."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """Changes when the same text would sound different."""
        ...

    def stream(self, text: str, speed: float = 1.0) -> Iterator[Part]:
        """Mu-law, 8,000 Hz, each part made when it is asked for. An empty one is a step on the way to more,
        which takes a time of its own; the last may be empty too.

        Raises ProviderError with any part, also for a text or speed that it does not take.
        """
        ...


@dataclass(frozen=True, slots=True)
class TtsInfo:
    """What a replica has and does at this moment."""

    voices: tuple[str, ...]
    running: int
    waiting: int
    phrases: int
    phrase_bytes: int


class LocalTextToSpeech:
    """`TextToSpeech` over voices in this process; the first of `voices` answers a request that names none.

    `workers` steps run at once. `max_waiting` more pieces may wait for theirs, the first or a further one. A
    piece whose generator is closed or cancelled takes no further step; a step that runs is finished and
    dropped. Call `close` at the end.
    """

    def __init__(
        self,
        voices: Mapping[str, VoiceModel],
        cache: PhraseCache,
        *,
        workers: int = 1,
        max_waiting: int = 32,
        caution: float = CAUTION,
    ) -> None:
        self._caution = caution
        self._voices = dict(voices)
        self._cache = cache
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tts")
        self._max_waiting = max_waiting
        self._turns = Turns(workers)
        self._running: dict[asyncio.Future[Part], float] = {}

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        """The text as speech, part by part; a fixed phrase (`request.cache`) as one. Close it to leave early.

        Without anything to pronounce it is one part, which is empty. Raises ProviderRejected for an unknown
        voice or a request out of range, ProviderUnavailable when too many wait or the voice fails.
        """
        voice = self._voice(request.voice)
        if request.cache:
            yield await self._phrase(voice, request)
            return
        async with aclosing(self._parts(voice, request)) as parts:
            async for part in parts:
                yield Speech(part.audio, voice.name, last=part.last)

    async def synthesise(self, request: SpeechRequest) -> Speech:
        """All parts of `speak` as one."""
        return await whole(self.speak(request))

    def info(self) -> TtsInfo:
        cache = self._cache
        return TtsInfo(
            tuple(self._voices), len(self._running), len(self._turns), len(cache), cache.bytes_in_memory
        )

    def check(self) -> None:
        """Raises ProviderUnavailable when a step has hung."""
        now = asyncio.get_running_loop().time()
        oldest = min(self._running.values(), default=now)
        if now - oldest > STUCK_S:
            raise ProviderUnavailable(f"a synthesis has hung for {now - oldest:.0f} s", provider=NAME)

    async def close(self) -> None:
        """Ends the cache's work and the threads; what runs is not waited for."""
        await self._cache.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _voice(self, name: str) -> VoiceModel:
        if not name:
            return next(iter(self._voices.values()))
        voice = self._voices.get(name)
        if voice is None:
            known = ", ".join(self._voices)
            raise ProviderRejected(f"there is no voice '{name}': choose one of {known}", provider=NAME)
        return voice

    async def _phrase(self, voice: VoiceModel, request: SpeechRequest) -> Speech:
        key = PhraseKey(f"{voice.name}@{voice.fingerprint}", request.speed, request.language, request.text)
        audio, cached = await self._cache.get(key, lambda: self._whole(voice, request))
        return Speech(audio, voice.name, cached)

    async def _whole(self, voice: VoiceModel, request: SpeechRequest) -> bytes:
        return b"".join([part.audio async for part in self._parts(voice, request)])

    async def _parts(self, voice: VoiceModel, request: SpeechRequest) -> AsyncGenerator[Part, None]:
        if not self._turns.free and len(self._turns) >= self._max_waiting:
            raise ProviderUnavailable(f"{len(self._turns)} syntheses wait already", provider=NAME)
        loop = asyncio.get_running_loop()
        parts = voice.stream(request.text, request.speed)
        held, due = b"", loop.time()
        asked, out_at = due, 0.0
        part = await self._step(parts, due)
        while not part.last:
            now, held = loop.time(), held + part.audio
            # A fixed phrase is played when the whole is there, so that all of it is due at once.
            if held and not request.cache and (out_at or lasts(held, self._caution * (now - asked))):
                out_at = (out_at or now) + len(held) / SAMPLE_RATE_HZ
                yield Part(held)
                held, due = b"", out_at - MARGIN_S
            asked = loop.time()
            part = await self._step(parts, due)
        yield Part(held + part.audio, last=True)

    async def _step(self, parts: Iterator[Part], due: float) -> Part:
        await self._turns.take(due)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, next, parts, _OVER)
        self._running[future] = loop.time()
        future.add_done_callback(self._finished)
        # A thread cannot be stopped, so its worker stays taken until it ends, whoever has gone.
        return await asyncio.shield(future)

    def _finished(self, future: asyncio.Future[Part]) -> None:
        del self._running[future]
        self._turns.give_back()
        if not future.cancelled():
            # Read here: the caller may have gone.
            future.exception()


def lasts(audio: bytes, seconds: float) -> bool:
    """Whether playing it takes so long."""
    return len(audio) >= seconds * SAMPLE_RATE_HZ


_OVER = Part(b"", last=True)
