"""Voices in this process behind the async seam: a bounded queue, a few threads, and the phrase cache."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from engine.errors import ProviderRejected, ProviderUnavailable
from engine.providers.base import Speech, SpeechRequest
from engine.providers.tts.cache import PhraseCache, PhraseKey

NAME = "tts"
STUCK_S = 30.0
"""A synthesis that takes longer has hung: the longest text allowed needs a few seconds."""


class VoiceModel(Protocol):
    """A blocking voice; its methods may be called from several threads."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str:
        """Changes when the same text would sound different."""
        ...

    def synthesise(self, text: str, speed: float = 1.0) -> bytes:
        """Mu-law, 8,000 Hz; b'' when nothing can be pronounced. Raises ProviderError."""
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

    `workers` syntheses run at once. `max_waiting` more may wait, in order; a request that is cancelled while
    it waits is never synthesised, one that runs is finished and dropped. Call `close` at the end.
    """

    def __init__(
        self, voices: Mapping[str, VoiceModel], cache: PhraseCache, *, workers: int = 1, max_waiting: int = 32
    ) -> None:
        self._voices = dict(voices)
        self._cache = cache
        self._slots = asyncio.Semaphore(workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tts")
        self._max_waiting = max_waiting
        self._waiting = 0
        self._running: dict[asyncio.Future[bytes], float] = {}

    async def synthesise(self, request: SpeechRequest) -> Speech:
        """The text as speech.

        Raises ProviderRejected for an unknown voice or a request out of range, ProviderUnavailable when too
        many wait or the voice fails.
        """
        voice = self._voice(request.voice)
        if not request.cache:
            return Speech(await self._speak(voice, request), voice.name)
        key = PhraseKey(f"{voice.name}@{voice.fingerprint}", request.speed, request.language, request.text)
        audio, cached = await self._cache.get(key, lambda: self._speak(voice, request))
        return Speech(audio, voice.name, cached)

    def info(self) -> TtsInfo:
        cache = self._cache
        return TtsInfo(
            tuple(self._voices), len(self._running), self._waiting, len(cache), cache.bytes_in_memory
        )

    def check(self) -> None:
        """Raises ProviderUnavailable when a synthesis has hung."""
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

    async def _speak(self, voice: VoiceModel, request: SpeechRequest) -> bytes:
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise ProviderUnavailable(f"{self._waiting} syntheses wait already", provider=NAME)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, voice.synthesise, request.text, request.speed)
        self._running[future] = loop.time()
        future.add_done_callback(self._finished)
        # A thread cannot be stopped, so its slot stays taken until it ends, whoever has gone.
        return await asyncio.shield(future)

    def _finished(self, future: asyncio.Future[bytes]) -> None:
        del self._running[future]
        self._slots.release()
        if not future.cancelled():
            # Read here: the caller may have gone.
            future.exception()
