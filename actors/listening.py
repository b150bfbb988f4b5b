"""Live speech to text across processes: a call's session, and its other end in the vendor's actor.

Audio goes over in pieces of a tenth of a second, each with its place: Ray promises no order between the
calls of an actor that runs them at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from engine.errors import SessionLost
from engine.providers.base import SAMPLE_RATE_HZ, SttSession, Transcript
from engine.providers.stt.outbox import Outbox
from engine.providers.stt.session import LONGEST_S, UtteranceSession

PIECE_BYTES = SAMPLE_RATE_HZ // 10
MOST_BYTES = SAMPLE_RATE_HZ * 10
LATE_S = 0.5
"""How long the end of an utterance waits for pieces that it overtook."""
MOST_OVER = 1_000
"""Sessions that are remembered to be over."""
STALE_S = 30.0
"""A session that nobody pushes to or finishes is of a call that is gone."""


@dataclass(frozen=True, slots=True)
class Ear:
    """A session's name. `sealed`: the company's key as it is kept, or "" for the installation's."""

    id: str
    sealed: str
    language: str


class _Open:
    """A live session and the pieces that came before their turn."""

    def __init__(self, session: SttSession) -> None:
        self.session = session
        self.received = 0
        self.complete = asyncio.Event()
        self.end: int | None = None
        self.stale: asyncio.TimerHandle | None = None
        self._early: dict[int, bytes] = {}

    def push(self, at: int, audio: bytes) -> None:
        self._early[at] = audio
        while (piece := self._early.pop(self.received, None)) is not None:
            self.session.push(piece)
            self.received += len(piece)
        self.check()

    def check(self) -> None:
        if self.end is not None and self.received >= self.end:
            self.complete.set()


class Ears:
    """The live sessions of one vendor's actor. `open` may raise ProviderErrors: they come at `finish`."""

    def __init__(self, open: Callable[[Ear], SttSession], provider: str, stale_s: float = STALE_S) -> None:
        self._opener = open
        self._provider = provider
        self._stale_s = stale_s
        self._open: dict[str, _Open] = {}
        self._over: dict[str, None] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def push(self, ear: Ear, at: int, audio: bytes) -> None:
        """Audio that begins `at` bytes after the session's beginning. Raises ProviderErrors."""
        if ear.id not in self._over:
            self._of(ear).push(at, audio)

    async def finish(self, ear: Ear, end: int) -> Transcript:
        """The transcript of all `end` bytes. Raises ProviderErrors, SessionLost when some are missing."""
        one = self._of(ear)
        one.end = end
        one.check()
        try:
            await self._arrived(one)
            return await one.session.finish()
        finally:
            await self.hang_up(ear)

    async def _arrived(self, one: _Open) -> None:
        """Until all pieces are there. Raises SessionLost when they do not come."""
        try:
            async with asyncio.timeout(LATE_S):
                await one.complete.wait()
        except TimeoutError:
            line = f"{self._provider}: what was said did not arrive"
            raise SessionLost(line, provider=self._provider) from None

    async def hang_up(self, ear: Ear) -> None:
        """Nothing where it is over. What comes of it after this is not heard."""
        self._over[ear.id] = None
        if len(self._over) > MOST_OVER:
            del self._over[next(iter(self._over))]
        one = self._open.pop(ear.id, None)
        if one is not None:
            if one.stale is not None:
                one.stale.cancel()
            await one.session.close()

    def _of(self, ear: Ear) -> _Open:
        one = self._open.get(ear.id)
        if one is None:
            one = self._open[ear.id] = _Open(self._opener(ear))
        if one.stale is not None:
            one.stale.cancel()
        one.stale = asyncio.get_running_loop().call_later(self._stale_s, self._drop, ear)
        return one

    def _drop(self, ear: Ear) -> None:
        task = asyncio.create_task(self.hang_up(ear), name=f"drop a session of {self._provider}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class RemoteSession(UtteranceSession):
    """A live session in a vendor's actor. `actor`: its handle, started where there is none; may raise.

    `ask`: what an answer of the actor is awaited with, which maps Ray's errors. `whole`: transcribes all of
    the audio at once, where the actor has lost it. What goes wrong while audio is sent is raised by `finish`.
    """

    def __init__(
        self,
        actor: Callable[[], Awaitable[Any]],
        ask: Callable[[Any], Awaitable[Transcript]],
        whole: Callable[[bytes, str], Awaitable[Transcript]],
        *,
        sealed: str,
        language: str,
        provider: str,
    ) -> None:
        super().__init__(longest_s=LONGEST_S, provider=provider, bytes_per_s=SAMPLE_RATE_HZ)
        self._actor = actor
        self._ask = ask
        self._whole = whole
        self._audio = bytearray()
        self._ear = Ear(secrets.token_hex(8), sealed, language)
        self._outbox = Outbox()
        self._handle: Any = None

    def _take(self, audio: bytes) -> None:
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        if not self._running.done():
            self._outbox.push(audio)
            self._audio += audio

    def _end(self) -> asyncio.Future[Transcript]:
        self._outbox.end()
        return self._running or asyncio.ensure_future(self._nothing())

    def _discard(self) -> None:
        self._outbox.clear()
        self._audio.clear()

    async def _nothing(self) -> Transcript:
        return Transcript("", self._ear.language)

    async def _run(self) -> Transcript:
        self._handle = await self._actor()
        sent, over = 0, False
        try:
            while piece := await self._outbox.take(PIECE_BYTES, MOST_BYTES):
                self._handle.push.remote(self._ear, sent, piece)
                sent += len(piece)
            try:
                transcript = await self._ask(self._handle.finish.remote(self._ear, sent))
            except SessionLost:
                transcript = await self._whole(bytes(self._audio), self._ear.language)
            over = True
            return transcript
        finally:
            if not over:
                self._handle.hang_up.remote(self._ear)
