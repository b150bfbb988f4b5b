"""A vendor behind its breaker: who is let through, and what became of each request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from engine.errors import ProviderError, ProviderTimeout
from engine.providers.base import ChatDelta, ChatRequest, Speech, SpeechRequest, SttSession, Transcript
from engine.providers.failover.breaker import Breaker, BreakerOpen
from engine.providers.vendor import Health

log = logging.getLogger("parley.cloud")

MOST_AT_ONCE = 256
"""Requests; beyond these it is busy, which is not the vendor's failure."""
PROBE_S = 5.0
PATIENCE_S = 0.7
"""Left earlier than this without an answer, a vendor may still have been well."""


@dataclass(slots=True)
class _Asked:
    """A request under way. `answered`: something of the answer has come."""

    at: float
    answered: bool = False


class GuardedVendor:
    """Raises the vendor's ProviderErrors, and BreakerOpen at once for a request that is not let through.

    `vendor`: of any kind; which of the methods it has is for the registry to say.
    """

    def __init__(self, name: str, vendor: Any, breaker: Breaker | None = None) -> None:
        self.used = time.monotonic()
        self.requests = self.refused = self.at_once = 0
        self._name = name
        self._vendor = vendor
        self._breaker = breaker or Breaker()
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
        with self._asked():
            session: SttSession = self._vendor.session(language=language)
            try:
                session.push(audio)
                return await session.finish()
            finally:
                await session.close()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        with self._asked() as asked:
            async with aclosing(self._vendor.generate(request)) as deltas:
                async for delta in deltas:
                    asked.answered = True
                    yield delta

    async def synthesise(self, request: SpeechRequest) -> Speech:
        with self._asked():
            speech: Speech = await self._vendor.synthesise(request)
            return speech

    async def check(self) -> Health:
        """A sample operation, whatever the breaker says."""
        health: Health = await self._vendor.check()
        return health

    @contextmanager
    def _asked(self) -> Iterator[_Asked]:
        """Around each request to the vendor: the breaker's permission, and what became of it."""
        asked = _Asked(time.monotonic())
        before = self._breaker.state(asked.at)
        if before == "half-open":
            # No caller waits for a probe: a sample finds out, and until then others are asked.
            self._probe_soon()
        if before == "half-open" or self.at_once >= MOST_AT_ONCE or not self._breaker.admit(asked.at):
            self.refused += 1
            raise BreakerOpen(f"{self._name} is not asked for now", provider=self._name)
        self.used = asked.at
        self.requests += 1
        self.at_once += 1
        try:
            yield asked
            self._breaker.succeeded()
        except ProviderError as error:
            self._breaker.failed(error, time.monotonic())
            raise
        except BaseException:
            self._given_up(asked)
            raise
        finally:
            self.at_once -= 1
            if before != self.state:
                log.warning("%s: its breaker is %s", self._name, self.state)

    def _given_up(self, asked: _Asked) -> None:
        """Whoever asked has left. A vendor that never answers is only ever left, so that is a failure too."""
        now = time.monotonic()
        if asked.answered or now - asked.at < PATIENCE_S:
            self._breaker.abandoned()
        else:
            self._breaker.failed(ProviderTimeout("left without an answer", provider=self._name), now)

    def _probe_soon(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(), name=f"probe {self._name}")

    async def _probe(self) -> None:
        if not self._breaker.admit(time.monotonic()):
            return
        try:
            async with asyncio.timeout(PROBE_S):
                await self._vendor.sample()
        except (ProviderError, TimeoutError) as error:
            late = ProviderTimeout("no answer to a probe", provider=self._name)
            self._breaker.failed(error if isinstance(error, ProviderError) else late, time.monotonic())
        except BaseException:
            self._breaker.abandoned()
            raise
        else:
            self._breaker.succeeded()
            log.warning("%s: it answers again", self._name)
