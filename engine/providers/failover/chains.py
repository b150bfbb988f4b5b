"""Chains of providers that behave as one: `SpeechToText`, `LanguageModel`, `TextToSpeech`.

A chain lives in one process and serves any number of requests; who may be asked is for the gates to say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Decision,
    LanguageModel,
    Speech,
    SpeechRequest,
    SpeechToText,
    SttSession,
    TextToSpeech,
    Transcript,
)
from engine.providers.failover.breaker import RetryBudget
from engine.providers.failover.race import Gate, Lost, Race, StageRules, Start, Step, Stop
from engine.providers.failover.words import WholeWords
from engine.providers.stt.session import BufferedSession

P = TypeVar("P")
T = TypeVar("T")
TRANSCRIBE, FIRST_TOKEN, SYNTHESISE = StageRules(0.8), StageRules(0.9, hedge_s=0.6), StageRules(0.8)
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Candidate(Generic[P]):
    """A provider of a chain and who guards it."""

    name: str
    provider: P
    gate: Gate


@dataclass(frozen=True, slots=True)
class Rules:
    """When each stage moves on to the next provider; times in seconds.

    `next_token_s`: the longest pause within a reply. The sum of a failed stage and its fallback should stay
    within a second of silence.
    """

    transcribe: StageRules = TRANSCRIBE
    first_token: StageRules = FIRST_TOKEN
    next_token_s: float = 0.8
    synthesise: StageRules = SYNTHESISE


@dataclass(slots=True)
class _Run(Generic[P, T]):
    """One request's race, driven with real providers."""

    candidates: Sequence[Candidate[P]]
    ask: Callable[[P], Awaitable[T]]
    discard: Callable[[T], Awaitable[None]] | None
    race: Race
    clock: Clock
    tasks: dict[asyncio.Future[T], int] = field(default_factory=dict)
    stopped: list[asyncio.Future[T]] = field(default_factory=list)

    async def result(self) -> tuple[T, int]:
        """The first answer and who gave it. Raises the last ProviderError when nobody does."""
        try:
            self._apply(self.race.begin(self.clock()))
            while True:
                wake = self.race.wake_at()
                timeout = None if wake is None else max(0.0, wake - self.clock())
                done, _ = await asyncio.wait(self.tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    self._apply(self.race.woken(self.clock()))
                    continue
                task = min(done, key=self.tasks.__getitem__)
                runner = self.tasks.pop(task)
                # Work that was cancelled far away ends here as cancelled, though nobody here did it.
                gone = ProviderUnavailable("the request was cancelled") if task.cancelled() else None
                error = gone or task.exception()
                if isinstance(error, ProviderError):
                    self._apply(self.race.failed(runner, error, self.clock()))
                    continue
                answer = task.result()  # raises what is a mistake of ours
                self._apply(self.race.answered(runner, self.clock()))
                return answer, runner
        finally:
            self.race.abandoned()
            await self._clean_up()

    def _apply(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Start(runner):
                    work = self.ask(self.candidates[runner].provider)
                    self.tasks[asyncio.ensure_future(work)] = runner
                case Stop(runner):
                    task = next(task for task, other in self.tasks.items() if other == runner)
                    del self.tasks[task]
                    self.stopped.append(task)
                    task.cancel()
                case Lost(error):
                    raise error

    async def _clean_up(self) -> None:
        """Nothing of a race is left when it is over."""
        left = [*self.tasks, *self.stopped]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for task in left:
            if not task.cancelled() and task.exception() is None and self.discard is not None:
                await self.discard(task.result())


class _Chain(Generic[P]):
    def __init__(
        self,
        candidates: Sequence[Candidate[P]],
        rules: Rules | None = None,
        budget: RetryBudget | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._candidates = tuple(candidates)
        self._rules = rules or Rules()
        self._budget = budget or RetryBudget()
        self._clock = clock

    def _run(
        self,
        candidates: Sequence[Candidate[P]],
        stage: StageRules,
        ask: Callable[[P], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]] | None = None,
    ) -> _Run[P, T]:
        race = Race([(one.name, one.gate) for one in candidates], stage, self._budget)
        return _Run(candidates, ask, discard, race, self._clock)


class SttChain(_Chain[SpeechToText]):
    """A SpeechToText: whole utterances go down the chain. It is live where the first of it is."""

    @property
    def live(self) -> bool:
        return self._candidates[0].provider.live

    def session(self, *, language: str = "en") -> SttSession:
        if self.live:
            return _LiveSession(self._candidates[0].provider, self._transcribe, language)
        return BufferedSession(self._transcribe, language=language, provider="stt")

    async def _transcribe(self, audio: bytes, language: str, heard: SttSession | None = None) -> Transcript:
        """`heard`: a session of the first provider that has the audio already."""

        async def ask(provider: SpeechToText) -> Transcript:
            if heard is not None and provider is self._candidates[0].provider:
                return await heard.finish()
            session = provider.session(language=language)
            try:
                session.push(audio)
                return await session.finish()
            finally:
                await session.close()

        run = self._run(self._candidates, self._rules.transcribe, ask)
        transcript, _ = await run.result()
        return replace(transcript, route=tuple(run.race.route))


class _LiveSession(BufferedSession):
    """The first provider listens while the caller speaks; the audio is kept for those behind it."""

    def __init__(
        self, first: SpeechToText, transcribe: Callable[..., Awaitable[Transcript]], language: str
    ) -> None:
        self._heard = first.session(language=language)
        super().__init__(partial(transcribe, heard=self._heard), language=language, provider="stt")

    def _take(self, audio: bytes) -> None:
        super()._take(audio)
        self._heard.push(audio)

    async def close(self) -> None:
        await super().close()
        await self._heard.close()


class TtsChain(_Chain[TextToSpeech]):
    """A TextToSpeech."""

    async def synthesise(self, request: SpeechRequest) -> Speech:
        run = self._run(
            self._candidates, self._rules.synthesise, lambda provider: provider.synthesise(request)
        )
        speech, _ = await run.result()
        return replace(speech, route=tuple(run.race.route))


Opened = tuple[ChatDelta, AsyncGenerator[ChatDelta, None]]
"""A reply's first delta, and the rest."""


class LlmChain(_Chain[LanguageModel]):
    """A LanguageModel. A reply that breaks off is gone on with by the next provider, at a whole word."""

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """As every LanguageModel; the last delta has the route of the whole reply."""
        left = list(self._candidates)
        said, route = "", list[Decision]()
        while True:
            asked = replace(request, continue_from=request.continue_from + said) if said else request
            run = self._run(left, self._rules.first_token, partial(_open, asked), _close)
            opened, winner = await run.result()
            route += run.race.route
            words = WholeWords()
            began = self._clock()
            try:
                async with aclosing(self._deltas(opened)) as deltas:
                    async for delta in deltas:
                        text = words.push(delta.text)
                        if delta.finish_reason is not None:
                            text += words.end()
                            yield replace(delta, text=text, route=tuple(route))
                            return
                        if text:
                            said += text
                            yield replace(delta, text=text)
            except ProviderError as error:
                one, now = left[winner], self._clock()
                one.gate.late(error, now)
                route.append(Decision(one.name, "broke off", round((now - began) * 1000)))
                left = [left[place] for place in run.race.left_after(winner)]
                if not left:
                    raise

    async def _deltas(self, opened: Opened) -> AsyncGenerator[ChatDelta, None]:
        """The rest of a reply, none of it later than it may be."""
        delta, stream = opened
        async with aclosing(stream):
            while True:
                yield delta
                if delta.finish_reason is not None:
                    return
                try:
                    async with asyncio.timeout(self._rules.next_token_s):
                        delta = await anext(stream)
                except TimeoutError:
                    raise ProviderTimeout("the reply stopped in the middle") from None
                except StopAsyncIteration:
                    raise ProviderUnavailable("the reply ended without an end") from None


async def _open(request: ChatRequest, provider: LanguageModel) -> Opened:
    stream = provider.generate(request)
    try:
        return await anext(stream), stream
    except StopAsyncIteration:
        raise ProviderUnavailable("the reply was empty") from None
    except BaseException:
        await stream.aclose()
        raise


async def _close(opened: Opened) -> None:
    await opened[1].aclose()
