"""A vendor behind its breaker: who is let through, and what became of each request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

from engine.errors import ProviderError, ProviderRejected, ProviderTimeout
from engine.providers.base import ChatDelta, ChatRequest, Speech, SpeechRequest, SttSession, Transcript
from engine.providers.failover.breaker import Breaker, BreakerOpen

log = logging.getLogger("parley.cloud")

PROBE_S, LEAST_S = 5.0, 0.5
PLACE_S = 0.4
"""How long a request waits for its place when many come at once. A vendor that is well has answered the
first of them by then; with what its answer takes the silence stays within a second."""
CROWDED_S = 1.0
"""For so long after somebody has waited for a place requests may be late by that."""


class GuardedVendor:
    """Raises the vendor's ProviderErrors, and BreakerOpen for a request that is not let through.

    That is at once where the breaker is open, and after PLACE_S where others are before it.

    `vendor`: of any kind; which of the methods it has is for the registry to say.
    """

    def __init__(
        self, name: str, vendor: Any, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self.requests = self.at_once = 0
        self._name = name
        # More would wait for a connection, and look as if the vendor were slow.
        self._most = vendor.options.connections
        self._vendor = vendor
        self._breaker = Breaker()
        self._sleep = sleep
        self._waiting = 0
        self._crowded_until = self._answered_at = float("-inf")
        self._changed = asyncio.Event()
        """Set, and another one put in its place, when there may be room for those who wait."""
        self._probing: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """The breaker's."""
        return self._breaker.state(time.monotonic())

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        await self._vendor.close()

    async def transcribe(self, audio: bytes, language: str) -> Transcript:
        async with self._asked():
            session: SttSession = self._vendor.session(language=language)
            try:
                session.push(audio)
                return await session.finish()
            finally:
                await session.close()

    def listen(self, language: str) -> SttSession:
        """A session that listens while the caller speaks. Raises BreakerOpen, its `finish` ProviderErrors.

        It counts as a request from its end on: before, the vendor owes nothing.
        """
        if self.state != "closed":
            raise self._shut()
        return _Listening(self._vendor.session(language=language), self._asked)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        async with self._asked(), aclosing(self._vendor.generate(request)) as deltas:
            async for delta in deltas:
                self._prove()
                yield delta

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        async with self._asked(), aclosing(self._vendor.speak(request)) as parts:
            async for part in parts:
                self._prove()
                yield part

    def prove(self) -> None:
        """Ask for a sample once, so that the vendor is known to answer before calls need it."""
        if self.requests == 0 and self.state == "closed" and self._probing is None:
            self._probing = asyncio.create_task(self._first_sample(), name=f"first sample of {self._name}")

    def late(self) -> None:
        """A caller of its own chain had to ask another, or was left in the middle of a reply.

        Where callers had to wait for their place, and it answers, it was not the vendor who was late.
        """
        if time.monotonic() < min(self._crowded_until, self._answered_at + CROWDED_S):
            return
        self._breaker.late(ProviderTimeout("no answer in time", provider=self._name), time.monotonic())
        self._note()
        self._wake()

    @asynccontextmanager
    async def _asked(self) -> AsyncGenerator[None, None]:
        """Around each request to the vendor: the breaker's permission, and what became of it."""
        await self._admitted()
        self.requests += 1
        self.at_once += 1
        try:
            yield
            self._breaker.succeeded(time.monotonic())
            self._answered_at = time.monotonic()
        except ProviderError as error:
            self._breaker.failed(error, time.monotonic())
            raise
        except BaseException:
            # Whoever asked has left; that it took too long is for its chain to say.
            self._breaker.abandoned()
            raise
        finally:
            self.at_once -= 1
            self._note()
            self._wake()

    async def _admitted(self) -> None:
        """Until the breaker lets a request through; raises BreakerOpen where that takes too long.

        No caller waits for a probe: a sample finds out, and until then others are asked.
        """
        try:
            async with asyncio.timeout(PLACE_S):
                while not self._room():
                    if self.state != "closed" or self._waiting >= self._most:
                        raise self._shut()
                    self._waiting += 1
                    self._crowded_until = time.monotonic() + CROWDED_S
                    try:
                        await self._changed.wait()
                    finally:
                        self._waiting -= 1
        except TimeoutError:
            raise self._shut() from None

    def _room(self) -> bool:
        """Whether a request may be sent now; if so it is under way."""
        well = self.state == "closed" and self.at_once < self._most
        return well and self._breaker.admit(time.monotonic())

    def _prove(self) -> None:
        self._breaker.proved()
        self._answered_at = time.monotonic()
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _shut(self) -> BreakerOpen:
        return BreakerOpen(f"{self._name} is not asked for now", provider=self._name)

    def _note(self) -> None:
        """Where the breaker has opened, have it probed as soon as that is allowed."""
        if self.state != "open" or (self._probing is not None and not self._probing.done()):
            return
        log.warning("%s: its breaker is open", self._name)
        self._probing = asyncio.create_task(self._probe_until_well(), name=f"probe {self._name}")

    async def _first_sample(self) -> None:
        await self._probe()
        if self.state == "closed":
            self._prove()

    async def _probe_until_well(self) -> None:
        while (at := self._breaker.opens_again_at()) is not None:
            await self._sleep(max(LEAST_S, at - time.monotonic()))
            await self._probe()
        log.warning("%s: it answers again", self._name)

    async def _probe(self) -> None:
        if not self._breaker.admit(time.monotonic()):
            return
        try:
            async with asyncio.timeout(PROBE_S):
                await self._vendor.sample()
        except (ProviderError, TimeoutError) as error:
            late = ProviderTimeout("no answer to a sample", provider=self._name)
            self._breaker.failed(error if isinstance(error, ProviderError) else late, time.monotonic())
        except BaseException:
            self._breaker.abandoned()
            raise
        else:
            self._breaker.probed(time.monotonic())


class _Listening:
    """A vendor's live session, whose end is a request like others."""

    def __init__(self, session: SttSession, asked: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self._session = session
        self._asked = asked
        self._left = False
        self.push = session.push

    async def finish(self) -> Transcript:
        async with self._asked():
            try:
                return await self._session.finish()
            except ProviderRejected:
                if not self._left:
                    raise
                # The caller's doing, who is gone: it says nothing about the vendor, not even that it is well.
                raise asyncio.CancelledError from None

    async def close(self) -> None:
        self._left = True
        await self._session.close()
