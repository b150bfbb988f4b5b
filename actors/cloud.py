"""A cloud vendor as an actor: one for each vendor and kind, shared by all calls of the cluster.

It is started by the first call that needs it and ends itself when nobody has for a while. What it guards is
the vendor: a pool of connections, a bound on requests at once, and the breaker, which so is the cluster's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError

from actors import NAMESPACE
from actors.listening import Ear, Ears, RemoteSession
from engine.config import settings
from engine.errors import ConfigurationError, ProviderError, ProviderTimeout, ProviderUnavailable, SessionLost
from engine.logs import set_up_logging
from engine.providers.base import ChatDelta, ChatRequest, Speech, SpeechRequest, SttSession, Transcript
from engine.providers.installation import vendor
from engine.providers.registry import Kind, entry
from engine.providers.stt.session import BufferedSession

if TYPE_CHECKING:
    from engine.providers.failover.guarded import GuardedVendor

log = logging.getLogger("parley.cloud")

IDLE_S = 600.0
START_S = 20.0
MOST_KEYS = 200
"""Companies with keys of their own that one actor serves; the longest unused makes room."""


class CloudActor:
    """Ray glue around `GuardedVendor`s: the installation's, and one for each company with a key of its own.

    A company's own key has its own breaker: that it is refused says nothing about anybody else's. `sealed`:
    the company's key as it is kept, or "" for the installation's.
    """

    def __init__(self, kind: Kind, name: str, idle_s: float = IDLE_S) -> None:
        set_up_logging()
        self._kind: Kind = kind
        self._name = name
        self._guarded: OrderedDict[str, GuardedVendor] = OrderedDict()
        self._used = time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()
        self._ears = Ears(lambda ear: self._of(ear.sealed).listen(ear.language), name)
        self._reaper = asyncio.create_task(self._end_when_idle(idle_s))

    async def ready(self, sealed: str) -> None:
        """A call may need it. Raises ConfigurationError where the vendor cannot be used."""
        self._of(sealed).prove()

    async def late(self, sealed: str) -> None:
        """A chain had to ask another, or was left in the middle of a reply."""
        self._of(sealed).late()

    async def transcribe(self, sealed: str, audio: bytes, language: str) -> Transcript:
        return await self._of(sealed).transcribe(audio, language)

    async def push(self, ear: Ear, at: int, audio: bytes) -> None:
        """What a caller is saying: `finish` tells what went wrong."""
        with suppress(ProviderError, ConfigurationError):
            self._ears.push(ear, at, audio)

    async def finish(self, ear: Ear, end: int) -> Transcript:
        return await self._ears.finish(ear, end)

    async def hang_up(self, ear: Ear) -> None:
        await self._ears.hang_up(ear)

    async def generate(self, sealed: str, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        async with aclosing(self._of(sealed).generate(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def speak(self, sealed: str, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        async with aclosing(self._of(sealed).speak(request)) as parts:
            async for part in parts:
                yield part

    def _of(self, sealed: str) -> GuardedVendor:
        self._used = time.monotonic()
        guarded = self._guarded.get(sealed)
        if guarded is None:
            # Here and not above: the processes of calls import this module for its other side alone.
            from engine.providers.failover.guarded import GuardedVendor
            from engine.providers.sealing import Sealer

            own = Sealer(settings()).open(sealed) if sealed else None
            client = vendor(self._kind, self._name, settings(), own_key=own)
            guarded = GuardedVendor(f"{self._kind} {self._name}", client)
            if len(self._guarded) >= MOST_KEYS:
                self._forget_one()
            self._guarded[sealed] = guarded
        self._guarded.move_to_end(sealed)
        return guarded

    def _forget_one(self) -> None:
        idle = next((key for key, one in self._guarded.items() if not one.at_once), None)
        if idle is not None:
            task = asyncio.create_task(self._guarded.pop(idle).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _end_when_idle(self, idle_s: float) -> None:
        while True:
            left = self._used + idle_s - time.monotonic()
            if left <= 0 and not self._ears and not any(one.at_once for one in self._guarded.values()):
                break
            await asyncio.sleep(max(left, 1.0))
        log.info("%s %s is not used any more: its actor ends", self._kind, self._name)
        # The process goes, and its connections with it: nothing is closed before, so no request meets that.
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

    def __init__(self, kind: Kind, name: str, sealed: str = "") -> None:
        self._kind: Kind = kind
        self._name = name
        self._sealed = sealed
        self._handle: Any = None
        self._starting: asyncio.Task[None] | None = None

    def prepare(self) -> None:
        """A call has this vendor in its chain: have its actor started, and kept, before it is needed."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._prepare(), name=f"start {self._kind} {self._name}")

    async def _prepare(self) -> None:
        try:
            await asyncio.wait_for(self._ask(lambda actor: actor.ready.remote(self._sealed)), START_S)
        except (ProviderError, TimeoutError) as error:
            log.warning("%s %s is not ready: %s", self._kind, self._name, error or "timeout")

    # As the `Gate` of its chain: the breaker is in the actor, which says no by itself.

    def admit(self, now: float) -> bool:
        return True

    def succeeded(self, now: float) -> None:
        """The actor knows."""

    def failed(self, error: ProviderError, now: float) -> None:
        """The actor knows."""

    def late(self, error: ProviderError, now: float) -> None:
        """That it was too slow for its chain the actor cannot know."""
        if self._handle is not None and isinstance(error, ProviderTimeout):
            self._handle.late.remote(self._sealed)

    def abandoned(self) -> None:
        """The actor knows."""

    @property
    def live(self) -> bool:
        return entry(self._kind, self._name).live

    def session(self, *, language: str = "en") -> SttSession:
        if not self.live:
            return BufferedSession(self._transcribe, language=language, provider=self._name)
        own = {"sealed": self._sealed, "language": language, "provider": self._name}
        return RemoteSession(self._actor, self._heard, self._transcribe, **own)

    async def _heard(self, reference: Any) -> Transcript:
        """The answer of the actor that has a session. Raises SessionLost where it has ended."""
        try:
            with self._mapped_errors():
                transcript: Transcript = await reference
                return transcript
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except ProviderUnavailable as error:
            if not isinstance(error.__cause__, RayActorError):
                raise
            self._handle = None
            raise SessionLost(str(error), provider=self._name) from error

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        transcript: Transcript = await self._ask(
            lambda actor: actor.transcribe.remote(self._sealed, audio, language)
        )
        return transcript

    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return self._stream("generate", request)

    def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        return self._stream("speak", request)

    async def _stream(self, method: str, request: Any) -> AsyncGenerator[Any, None]:
        """What the actor answers. One that had ended is started again; once, and before it has said anything.

        Closed early, it ends the request at the vendor too.
        """
        for again in (False, True):
            begun = False
            try:
                async with aclosing(self._answers(method, request)) as items:
                    async for item in items:
                        begun = True
                        yield item
                return
            except ProviderUnavailable as error:
                if not isinstance(error.__cause__, RayActorError):
                    raise
                self._handle = None
                if again or begun:
                    raise

    async def _answers(self, method: str, request: Any) -> AsyncGenerator[Any, None]:
        handle = await self._actor()
        stream = getattr(handle, method).options(num_returns="streaming").remote(self._sealed, request)
        try:
            with self._mapped_errors():
                async for reference in stream:
                    yield await reference
        finally:
            # Nothing when it is over.
            ray.cancel(stream)

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        """What the actor answers. One that had ended, being idle, is started again; once.

        Cancelled, it cancels the request at the vendor too.
        """
        for again in (False, True):
            handle = await self._actor()
            reference = question(handle)
            try:
                with self._mapped_errors():
                    return await reference
            except asyncio.CancelledError:
                ray.cancel(reference)
                raise
            except ProviderUnavailable as error:
                if again or not isinstance(error.__cause__, RayActorError):
                    raise
                self._handle = None
        raise AssertionError("the loop returns or raises")

    async def _actor(self) -> Any:
        if self._handle is None:
            with self._mapped_errors():
                self._handle = await asyncio.to_thread(_start, self._kind, self._name)
        return self._handle

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except ProviderError as error:
            # As Ray raises it its text is a traceback; `cause` is the error itself.
            raise getattr(error, "cause", error) from None
        except ConfigurationError as error:
            raise ProviderUnavailable(str(getattr(error, "cause", error)), provider=self._name) from None
        except (RayError, ValueError) as error:
            raise ProviderUnavailable(f"{self._name}: {_last_line(error)}", provider=self._name) from error


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
