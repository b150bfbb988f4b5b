"""A cloud vendor as an actor: one for each vendor and kind, shared by all calls of the cluster.

It is started by the first call that needs it and ends itself when nobody has for a while. What it guards is
the vendor: a pool of connections, a bound on requests at once, and the breaker, which so is the cluster's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from actors import NAMESPACE
from engine.config import settings
from engine.errors import ConfigurationError, ProviderError, ProviderTimeout, ProviderUnavailable
from engine.logs import set_up_logging
from engine.providers.base import ChatDelta, ChatRequest, Speech, SpeechRequest, SttSession, Transcript
from engine.providers.failover.breaker import Breaker, BreakerOpen
from engine.providers.installation import vendor
from engine.providers.registry import Kind
from engine.providers.stt.session import BufferedSession
from engine.providers.vendor import Health

log = logging.getLogger("parley.cloud")
T = TypeVar("T")

IDLE_S = 600.0
START_S = 20.0
MOST_AT_ONCE = 256
"""Requests; beyond these it answers that it is busy, which is not the vendor's failure."""


PROBE_S = 5.0
PATIENCE_S = 0.7
"""Left earlier than this without an answer, a vendor may still have been well."""


@dataclass(slots=True)
class _Asked:
    """A request under way. `answered`: something of the answer has come."""

    at: float
    answered: bool = False


class CloudActor:
    """Ray glue around a `Vendor`. Every method raises the vendor's ProviderErrors, or BreakerOpen at once."""

    def __init__(self, kind: Kind, name: str, idle_s: float = IDLE_S) -> None:
        set_up_logging()
        self._name = f"{kind} {name}"
        # Any of the four kinds: which methods it has is for the registry to say.
        self._vendor: Any = vendor(kind, name, settings())
        self._breaker = Breaker()
        self._requests = 0
        self._refused = 0
        self._at_once = 0
        self._used = time.monotonic()
        self._probing: asyncio.Task[None] | None = None
        self._reaper = asyncio.create_task(self._end_when_idle(idle_s))

    async def ready(self) -> None:
        """The constructor is done."""

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

    async def stats(self) -> dict[str, Any]:
        """Requests sent, requests turned away, and the breaker's state."""
        state = self._breaker.state(time.monotonic())
        return {"requests": self._requests, "refused": self._refused, "breaker": state}

    @contextmanager
    def _asked(self) -> Iterator[_Asked]:
        """Around each request to the vendor: the breaker's permission, and what became of it."""
        asked = _Asked(time.monotonic())
        before = self._breaker.state(asked.at)
        if before == "half-open":
            # No caller waits for a probe: a sample finds out, and until then others are asked.
            self._probe_soon()
            self._refused += 1
            raise BreakerOpen(f"{self._name} is being probed", provider=self._name)
        if self._at_once >= MOST_AT_ONCE or not self._breaker.admit(asked.at):
            self._refused += 1
            raise BreakerOpen(f"{self._name} is not asked for now", provider=self._name)
        self._used = asked.at
        self._requests += 1
        self._at_once += 1
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
            self._at_once -= 1
            after = self._breaker.state(time.monotonic())
            if before != after:
                log.warning("%s: its breaker is %s", self._name, after)

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

    def _given_up(self, asked: _Asked) -> None:
        """Whoever asked has left. A vendor that never answers is only ever left, so that is a failure too."""
        now = time.monotonic()
        if asked.answered or now - asked.at < PATIENCE_S:
            self._breaker.abandoned()
        else:
            self._breaker.failed(ProviderTimeout("left without an answer", provider=self._name), now)

    async def _end_when_idle(self, idle_s: float) -> None:
        while True:
            left = self._used + idle_s - time.monotonic()
            if left <= 0 and not self._at_once:
                break
            await asyncio.sleep(max(left, 1.0))
        await self._vendor.close()
        log.info("%s is not used any more: its actor ends", self._name)
        ray.kill(ray.get_runtime_context().current_actor)


def _start(kind: Kind, name: str) -> Any:
    """The vendor's actor, started when there is none. Blocks while Ray is asked."""
    options = {"name": f"cloud-{kind}-{name}", "namespace": NAMESPACE, "lifetime": "detached"}
    return (
        ray.remote(CloudActor)
        .options(**options, get_if_exists=True, num_cpus=0, max_restarts=0, max_concurrency=1000)
        .remote(kind, name)
    )


class CloudProvider:
    """A vendor of any kind, reached through its actor: SpeechToText, LanguageModel or TextToSpeech."""

    def __init__(self, kind: Kind, name: str) -> None:
        self._kind: Kind = kind
        self._name = name
        self._handle: Any = None
        self._starting: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """Have the actor started before it is needed: a fallback that first starts a process is no use."""
        if self._handle is None and (self._starting is None or self._starting.done()):
            self._starting = asyncio.create_task(self._prepare(), name=f"start {self._kind} {self._name}")

    async def _prepare(self) -> None:
        try:
            await asyncio.wait_for(self._ask(lambda actor: actor.ready.remote()), START_S)
        except (ProviderError, TimeoutError) as error:
            log.warning("%s %s is not ready: %s", self._kind, self._name, error or "timeout")

    def session(self, *, language: str = "en") -> SttSession:
        return BufferedSession(self._transcribe, language=language, provider=self._name)

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        return await self._ask(lambda actor: actor.transcribe.remote(audio, language))

    async def synthesise(self, request: SpeechRequest) -> Speech:
        return await self._ask(lambda actor: actor.synthesise.remote(request))

    async def check(self) -> Health:
        return await self._ask(lambda actor: actor.check.remote())

    async def stats(self) -> dict[str, Any]:
        return await self._ask(lambda actor: actor.stats.remote())

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        stream = await self._ask(_streamed(request))
        try:
            async for reference in stream:
                yield await self._ask(partial(_given, reference))
        finally:
            # Ends the request at the vendor when the reply is left early; nothing when it is over.
            ray.cancel(stream)

    async def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """What the actor answers; one that has ended, being idle, is started again."""
        try:
            if self._handle is None:
                self._handle = await asyncio.to_thread(_start, self._kind, self._name)
            return await question(self._handle)
        except ProviderError as error:
            # As Ray raises it its text is a traceback; `cause` is the error itself.
            raise getattr(error, "cause", error) from None
        except ConfigurationError as error:
            raise ProviderUnavailable(str(getattr(error, "cause", error)), provider=self._name) from None
        except (RayError, ValueError) as error:
            self._handle = None
            raise ProviderUnavailable(f"{self._name}: {_last_line(error)}", provider=self._name) from error


def _streamed(request: ChatRequest) -> Callable[[Any], Awaitable[Any]]:
    async def question(actor: Any) -> Any:
        return actor.generate.options(num_returns="streaming").remote(request)

    return question


async def _given(reference: Any, _: Any) -> ChatDelta:
    delta: ChatDelta = await reference
    return delta


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
