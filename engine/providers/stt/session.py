"""One utterance as an SttSession: the rules of all, and one over anything that takes whole utterances."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from engine.errors import ProviderRejected
from engine.providers.base import SAMPLE_RATE_HZ, Transcript

Transcribe = Callable[[bytes, str], Awaitable[Transcript]]
"""(mu-law 8 kHz, language) -> Transcript; raises ProviderErrors."""

LONGEST_S = 300.0


class UtteranceSession(ABC):
    """What every session holds to, whatever becomes of the audio.

    `finish` may be called once; a second call, a `finish` after `close`, a `push` after either and audio
    beyond `longest_s` raise ProviderRejected: they are mistakes of the caller, and another provider would not
    mend them. Audio beyond the bound is refused whole; what was pushed before it can still be finished.
    Cancelling `finish`, or closing meanwhile, cancels the running transcription; after a close `finish`
    raises ProviderRejected in its waiting task.
    """

    def __init__(self, *, longest_s: float, provider: str, bytes_per_s: int) -> None:
        self._longest_s = longest_s
        self._most_bytes = int(longest_s * bytes_per_s)
        self._provider = provider
        self._pushed = 0
        """Bytes."""
        self._finished = False
        self._closed = False
        self._running: asyncio.Future[Transcript] | None = None
        """What transcribes, once there is something to do."""

    @abstractmethod
    def _take(self, audio: bytes) -> None:
        """Audio within the bound."""

    @abstractmethod
    def _end(self) -> asyncio.Future[Transcript]:
        """No more audio comes: what will be the transcript."""

    @abstractmethod
    def _discard(self) -> None:
        """Audio that is still held is not needed any more."""

    def push(self, audio: bytes) -> None:
        """Add bytes, mu-law unless `bytes_per_s` says otherwise; never blocks."""
        self._refuse_if_over("push more audio")
        if self._pushed + len(audio) > self._most_bytes:
            raise self._rejected(
                f"an utterance may last {self._longest_s:.0f} s: finish it and open another session"
            )
        self._pushed += len(audio)
        self._take(audio)

    async def finish(self) -> Transcript:
        """The transcript of everything pushed."""
        self._refuse_if_over("finish")
        self._finished = True
        self._running = self._end()
        try:
            return await self._running
        except asyncio.CancelledError:
            if self._closed and self._running.cancelled() and not _cancelling():
                raise self._rejected("the session was closed while it was being finished") from None
            raise

    async def close(self) -> None:
        """End the session, at any time and any number of times; what runs has ended when it returns."""
        self._closed = True
        self._discard()
        if self._running is None:
            return
        if not self._running.done():
            self._running.cancel()
            await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.exception()  # who closes without finishing does not want to know

    def _refuse_if_over(self, what: str) -> None:
        if self._closed:
            raise self._rejected(f"cannot {what}: the session is closed, open another")
        if self._finished:
            raise self._rejected(f"cannot {what}: the session is finished, open another")

    def _rejected(self, message: str) -> ProviderRejected:
        return ProviderRejected(message, provider=self._provider)


class BufferedSession(UtteranceSession):
    """Keeps what is pushed and transcribes all of it at `finish`."""

    def __init__(
        self,
        transcribe: Transcribe,
        *,
        language: str = "en",
        longest_s: float = LONGEST_S,
        provider: str = "",
        bytes_per_s: int = SAMPLE_RATE_HZ,
    ) -> None:
        super().__init__(longest_s=longest_s, provider=provider, bytes_per_s=bytes_per_s)
        self._transcribe = transcribe
        self._language = language
        self._audio = bytearray()

    def _take(self, audio: bytes) -> None:
        self._audio += audio

    def _end(self) -> asyncio.Future[Transcript]:
        audio = bytes(self._audio)
        self._audio.clear()
        return asyncio.ensure_future(self._transcribe(audio, self._language))

    def _discard(self) -> None:
        self._audio.clear()


def _cancelling() -> bool:
    """Whether somebody is cancelling the current task itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
