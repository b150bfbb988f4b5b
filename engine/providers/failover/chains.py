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
from typing import Any, Generic, TypeVar

from engine.audio.ahead import Ahead
from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Decision,
    LanguageModel,
    Purpose,
    Route,
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
from engine.providers.registry import LOCAL
from engine.providers.stt.session import BufferedSession
from engine.speech import heard

P = TypeVar("P")
T = TypeVar("T")
TRANSCRIBE, FIRST_TOKEN, SYNTHESISE = StageRules(0.8), StageRules(0.9, hedge_s=0.6), StageRules(0.8)
Clock = Callable[[], float]
SLACK_S = 0.3
"""How long after the audio that was given has been played the next part counts as missing."""
PACE_MARGIN = 1.2
"""Pieces of one voice differ in pace by a sixth (standard deviation)."""


@dataclass(frozen=True, slots=True)
class Candidate(Generic[P]):
    """A provider of a chain and who guards it."""

    name: str
    provider: P
    gate: Gate


@dataclass(frozen=True, slots=True)
class Rules:
    """When each stage moves on to the next provider; times in seconds.

    `next_token_s`, `next_part_s`: the longest pause within a reply, or within a piece of speech of which the
    caller has heard all that came. The sum of a failed stage and its fallback should stay within a second of
    silence.
    """

    transcribe: StageRules = TRANSCRIBE
    first_token: StageRules = FIRST_TOKEN
    next_token_s: float = 0.8
    synthesise: StageRules = SYNTHESISE
    next_part_s: float = 0.8


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


Opened = tuple[T, AsyncGenerator[T, None]]
"""A stream's first item, and the rest."""


class _StreamChain(_Chain[P], Generic[P, T]):
    """A chain whose providers stream: one that breaks off in the middle is gone on with by the next."""

    async def _relay(
        self,
        ask: Callable[[P], AsyncGenerator[T, None]],
        is_last: Callable[[T], bool],
        stage: StageRules,
        patience: Callable[[T], float],
    ) -> AsyncGenerator[tuple[T, str, Route], None]:
        """Each item, whose it is, and what was decided since the item before, to the last item of a stream.

        `ask` is called again where a stream broke off: for what is left then. `patience`: how many seconds
        after an item the next may come.
        """
        left = list(self._candidates)
        broke: Route = ()
        while True:
            run = self._run(left, stage, lambda provider: _open(ask(provider)), _close)
            opened, winner = await run.result()
            one, began = left[winner], self._clock()
            route: Route = (*broke, *run.race.route)
            try:
                async with aclosing(_rest(opened, patience)) as items:
                    async for item in items:
                        yield item, one.name, route
                        route = ()
                        if is_last(item):
                            return
                raise ProviderUnavailable("a stream ended before its end", provider=one.name)
            except ProviderError as error:
                now = self._clock()
                one.gate.late(error, now)
                broke = (*route, Decision(one.name, "broke off", round((now - began) * 1000)))
                left = [left[place] for place in run.race.left_after(winner)]
                if not left:
                    raise


class TtsChain(_StreamChain[TextToSpeech, Speech]):
    """A TextToSpeech. A piece that breaks off is gone on with by the next provider, at a whole word.

    Voices do not say which word they are at: it is told from the time, at the pace of what they said before,
    and rather too slow than too quick a one, since a word said twice is better than one left out.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._paces: dict[str, float] = {}

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        """As every TextToSpeech; each part has the decisions since the one before it."""
        left, said, speaker, ahead = request, 0, "", Ahead(self._clock)

        def ask(provider: TextToSpeech) -> AsyncGenerator[Speech, None]:
            nonlocal left, said
            if said:
                rest = heard.unsaid(left.text, said, self._paces.get(speaker, heard.SLOW_PACE))
                left, said = replace(left, text=rest), 0
            return provider.speak(left)

        def patience(part: Speech) -> float:
            """While the caller has something to hear nothing is late."""
            return max(self._rules.next_part_s, ahead.give(len(part.audio)) + SLACK_S)

        relay = self._relay(ask, lambda part: part.last, self._rules.synthesise, patience)
        async with aclosing(relay) as parts:
            async for part, speaker, route in parts:
                said += len(part.audio)
                if part.last and said:
                    pace = PACE_MARGIN * heard.pace(left.text, said)
                    self._paces[speaker] = max(pace, self._paces.get(speaker, 0.0))
                yield replace(part, route=route)


class LlmChain(_StreamChain[LanguageModel, ChatDelta]):
    """A LanguageModel. A reply that breaks off is gone on with by the next provider, at a whole word."""

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """As every LanguageModel; the last delta has the route of the whole reply."""
        if request.purpose is Purpose.BEGINNING and self._candidates[0].name != LOCAL:
            yield ChatDelta("", "stop")  # a vendor reads it in no time, and charges for it
            return
        if request.purpose is not Purpose.REPLY:
            # Of use to who is asked first, if to anybody, and nobody waits for it.
            async with aclosing(self._candidates[0].provider.generate(request)) as read:
                async for delta in read:
                    yield delta
            return
        said, words = "", WholeWords()
        whole_route: Route = ()

        def ask(provider: LanguageModel) -> AsyncGenerator[ChatDelta, None]:
            nonlocal words
            words = WholeWords()
            asked = replace(request, continue_from=request.continue_from + said) if said else request
            return provider.generate(asked)

        relay = self._relay(
            ask,
            lambda delta: delta.finish_reason is not None,
            self._rules.first_token,
            lambda _: self._rules.next_token_s,
        )
        async with aclosing(relay) as deltas:
            async for delta, _, route in deltas:
                whole_route += route
                text = words.push(delta.text)
                if delta.finish_reason is not None:
                    yield replace(delta, text=text + words.end(), route=whole_route)
                elif text:
                    said += text
                    yield replace(delta, text=text)


async def _open(stream: AsyncGenerator[T, None]) -> Opened[T]:
    try:
        return await anext(stream), stream
    except StopAsyncIteration:
        raise ProviderUnavailable("the answer was empty") from None
    except BaseException:
        await stream.aclose()
        raise


async def _rest(opened: Opened[T], patience: Callable[[T], float]) -> AsyncGenerator[T, None]:
    """All of a stream, none of it later than it may be."""
    item, stream = opened
    async with aclosing(stream):
        while True:
            limit = patience(item)
            yield item
            try:
                async with asyncio.timeout(limit):
                    item = await anext(stream)
            except TimeoutError:
                raise ProviderTimeout("the stream stopped in the middle") from None
            except StopAsyncIteration:
                return


async def _close(opened: Opened[T]) -> None:
    await opened[1].aclose()
