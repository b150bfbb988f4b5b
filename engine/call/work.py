"""Work for the models: started at once, cancelled by name, its results told as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from engine.audio.ahead import Ahead
from engine.call.services import Deadlines, Services
from engine.call.spec import CallSpec
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.prompt import warm_up
from engine.errors import ProviderError, ProviderUnavailable
from engine.providers.base import ChatRequest, Speech, SpeechRequest, Transcript, whole
from engine.providers.stt.listener import LiveListener
from engine.speech.normalise import normalise

log = logging.getLogger("parley.call")

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]
WorkCommand = cmd.Transcribe | cmd.Score | cmd.ScoreWords | cmd.Retrieve | cmd.Generate | cmd.Synthesise

Item = TypeVar("Item")

MOST_KEPT = 64


class Work:
    """One call's. `spawn` makes tasks that the conductor owns; `emit` takes the events.

    `kept`: last words that were spoken for earlier calls in this process.
    """

    def __init__(
        self,
        spec: CallSpec,
        services: Services,
        deadlines: Deadlines,
        spawn: Spawn,
        emit: Callable[[ev.Event], None],
        kept: dict[SpeechRequest, Speech] | None = None,
    ) -> None:
        self._spec = spec
        self._services = services
        self._deadlines = deadlines
        self._spawn = spawn
        self._emit = emit
        self._kept = {} if kept is None else kept
        self._running: dict[tuple[ev.Stage, int | str], asyncio.Task[None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._listener: LiveListener | None = None
        self._listeners: set[LiveListener] = set()
        """That one, and those that are being closed."""

    def hear(self, audio: bytes) -> None:
        """The caller speaks: a provider that listens live hears it at once."""
        if not self._services.stt.live or not audio:
            return
        if self._listener is None:
            self._listener = LiveListener(self._services.stt, self._spec.agent.language)
            self._listeners.add(self._listener)
        self._listener.push(audio)

    def end_utterance(self) -> None:
        """What comes next is of another turn."""
        if self._listener is not None:
            self._spawn(self._close(self._listener), f"close utterance {self._spec.call_id}")
            self._listener = None

    async def _close(self, listener: LiveListener) -> None:
        await listener.close()
        self._listeners.discard(listener)

    async def close(self) -> None:
        """The call is over, and nobody listens any more."""
        for listener in tuple(self._listeners):
            await self._close(listener)

    def start(self, command: WorkCommand, utterance: bytes) -> None:
        """Begin; `utterance` is the caller's audio so far, mu-law."""
        match command:
            case cmd.Transcribe(attempt):
                self._begin(ev.Stage.TRANSCRIBE, attempt, partial(self._transcribe, attempt, utterance))
            case cmd.Score(attempt):
                self._begin(ev.Stage.SCORE, attempt, partial(self._score, attempt, utterance))
            case cmd.ScoreWords(attempt, text):
                self._begin(ev.Stage.WORDS, attempt, partial(self._score_words, attempt, text))
            case cmd.Retrieve(attempt, query):
                self._begin(ev.Stage.RETRIEVE, attempt, partial(self._retrieve, attempt, query))
            case cmd.Generate(attempt, _):
                self._stop_reading()
                self._begin(ev.Stage.GENERATE, attempt, partial(self._generate, command))
            case cmd.Synthesise(piece, _, _):
                self._begin(ev.Stage.SYNTHESISE, piece, partial(self._synthesise, command))

    def cancel(self, key: int | str) -> None:
        """Stop all work of an attempt (a number) or for a piece (its id)."""
        for name in [name for name in self._running if name[1] == key]:
            self._running.pop(name).cancel()

    def _begin(self, stage: ev.Stage, key: int | str, work: Callable[[], Awaitable[None]]) -> None:
        guarded = self._guard(stage, key, work)
        self._running[stage, key] = self._spawn(guarded, f"{stage} {key} {self._spec.call_id}")

    async def _guard(self, stage: ev.Stage, key: int | str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work; whatever goes wrong becomes a `Failed`, which has a consequence in the core."""
        try:
            await work()
        except (ProviderError, TimeoutError) as error:
            self._fail(stage, key, str(error) or "deadline passed")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not this task: what it waited for was cancelled, far away.
            self._fail(stage, key, "cancelled at the provider")
        finally:
            if self._running.get((stage, key)) is asyncio.current_task():
                del self._running[stage, key]

    def _fail(self, stage: ev.Stage, key: int | str, reason: str) -> None:
        log.warning("call %s: %s failed: %s", self._spec.call_id, stage, reason)
        self._emit(ev.Failed(stage, key, reason))

    async def read_opening(self) -> None:
        """Let the model read what every prompt of this agent begins with while the greeting plays.

        The first turn then finds it in the prefix cache. Nothing depends on it, so a failure is only noted.
        """
        await self._read((warm_up(self._spec.agent, self._spec.call_id),))

    def read_ahead(self, requests: Sequence[ChatRequest]) -> None:
        """Let the model read what the next prompt begins with, until it is asked for a reply."""
        self._stop_reading()
        self._reading = self._spawn(self._read(requests), f"read ahead {self._spec.call_id}")

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read(self, requests: Sequence[ChatRequest]) -> None:
        try:
            for request in requests:
                async with (
                    asyncio.timeout(self._deadlines.opening),
                    aclosing(self._services.llm.generate(request)) as deltas,
                ):
                    async for _ in deltas:
                        pass
        except (ProviderError, TimeoutError) as error:
            log.info("call %s: the model did not read ahead: %s", self._spec.call_id, error or "timeout")

    async def keep_last_words(self) -> None:
        """Have at hand what is said when nothing works: by then there may be no voice to say it."""
        phrases = self._spec.agent.phrases
        for text in (phrases.apology, phrases.closing):
            request = self._request(normalise(text, self._spec.agent.language).text, phrase=True)
            if request in self._kept:
                continue
            try:
                async with asyncio.timeout(self._deadlines.opening):
                    speech = await whole(self._services.tts.speak(request))
                while len(self._kept) >= MOST_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[request] = replace(speech, route=())  # of no later turn
            except (ProviderError, TimeoutError) as error:
                log.warning("call %s: last words are not at hand: %s", self._spec.call_id, error or "timeout")

    async def _transcribe(self, attempt: int, audio: bytes) -> None:
        listener, transcript = self._listener, None
        if listener is not None and not listener.broken:
            try:
                async with asyncio.timeout(self._deadlines.transcribe):
                    transcript = await listener.transcript()
            except ProviderError as error:
                log.info("call %s: the turn is transcribed whole: %s", self._spec.call_id, error)
        if transcript is None:
            transcript = await self._transcribe_whole(audio)
        self._emit(ev.Transcribed(attempt, transcript))

    async def _transcribe_whole(self, audio: bytes) -> Transcript:
        session = self._services.stt.session(language=self._spec.agent.language)
        try:
            session.push(audio)
            async with asyncio.timeout(self._deadlines.transcribe):
                return await session.finish()
        finally:
            await session.close()

    async def _score(self, attempt: int, audio: bytes) -> None:
        async with asyncio.timeout(self._deadlines.score):
            probability = await self._services.turn.score(audio)
        self._emit(ev.Scored(attempt, probability))

    async def _score_words(self, attempt: int, text: str) -> None:
        async with asyncio.timeout(self._deadlines.words):
            probability = await self._services.turn.words(text, self._spec.agent.language)
        self._emit(ev.WordsScored(attempt, probability))

    async def _retrieve(self, attempt: int, query: str) -> None:
        agent = self._spec.agent
        async with asyncio.timeout(self._deadlines.retrieve):
            passages = await self._services.knowledge.search(
                self._spec.company_id, query, agent.passages, agent.language
            )
        self._emit(ev.Retrieved(attempt, tuple(passages)))

    async def _generate(self, command: cmd.Generate) -> None:
        limits = self._deadlines
        stream = self._services.llm.generate(command.request)
        async with aclosing(_in_time(stream, limits.first_token, lambda _: limits.next_token)) as deltas:
            async for delta in deltas:
                self._emit(ev.Generated(command.attempt, delta))
                if delta.finish_reason is not None:
                    return
        raise ProviderUnavailable("the reply's stream ended without a finish reason")

    async def _synthesise(self, command: cmd.Synthesise) -> None:
        request = self._request(command.text, phrase=command.phrase)
        kept = self._kept.get(request) if command.phrase else None
        if kept is not None:
            self._give(command.piece, kept)
            return
        limits = self._deadlines
        ahead = Ahead()

        def patience(part: Speech) -> float:
            return limits.next_part + ahead.give(len(part.audio))

        stream = self._services.tts.speak(request)
        async with aclosing(_in_time(stream, limits.synthesise, patience)) as parts:
            async for part in parts:
                self._give(command.piece, part)
                if part.last:
                    return
        raise ProviderUnavailable("the speech's stream ended without its last part")

    def _give(self, piece: str, part: Speech) -> None:
        by = part.served_by or part.voice
        self._emit(ev.Synthesised(piece, part.audio, by, part.route, part.last))

    def _request(self, text: str, *, phrase: bool) -> SpeechRequest:
        agent = self._spec.agent
        return SpeechRequest(text=text, voice=agent.voice, language=agent.language, cache=phrase)


async def _in_time(
    stream: AsyncGenerator[Item, None], first_s: float, patience: Callable[[Item], float]
) -> AsyncGenerator[Item, None]:
    """A provider's stream, which is closed with this. Raises TimeoutError where an item is late.

    `patience`: how many seconds after an item the next may come.
    """
    limit = first_s
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout(limit):
                    item = await anext(stream)
            except StopAsyncIteration:
                return
            limit = patience(item)
            yield item
