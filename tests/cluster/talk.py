"""Asking a question on a simulated line and listening to the answer, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.simulator import recordings
from engine.simulator.caller import Caller
from engine.simulator.carrier import CallIdentity
from engine.simulator.events import AgentPiece, UserTurn
from engine.simulator.judge import Decoder, judge
from engine.simulator.tape import FRAME_BYTES

T = TypeVar("T")

GREETING_S, ANSWER_S = 20.0, 30.0
"""Generous: these are no measurements."""


@dataclass(frozen=True)
class Answer:
    """What followed a question: as the server told it, and as it sounded (mu-law, 8,000 Hz)."""

    heard_as: str
    pieces: tuple[AgentPiece, ...]
    audio: bytes
    done: bool

    @property
    def kinds(self) -> list[str]:
        return [piece.kind for piece in self.pieces if piece.kind != "filler"]

    @property
    def text(self) -> str:
        return " ".join(piece.text.strip() for piece in self.pieces if piece.kind != "filler")


def call_id(caller: Caller) -> str:
    identity: CallIdentity = caller.carrier.identity
    return identity.call_sid


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Something goes on beside a block, and is over with it: await it there for what comes of it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def greeted(caller: Caller) -> None:
    """The agent has said its greeting."""
    assert await caller.agent_done(GREETING_S), "no greeting was heard"


async def ask(caller: Caller, name: str, within_s: float = ANSWER_S) -> Answer:
    """Say a recording and hear the answer out."""
    events, start = len(caller.events), len(caller.tape)
    said = await caller.say(recordings.get(name).pcm())
    done = await caller.agent_done(within_s)
    return answer_since(caller, events, max(said.last_loud, start), done)


def answer_since(caller: Caller, events: int, tick: int, done: bool) -> Answer:
    """What was told since that many events and heard since that tick."""
    since = caller.events[events:]
    heard = " ".join(event.text.strip() for event in since if isinstance(event, UserTurn))
    pieces = tuple(event for event in since if isinstance(event, AgentPiece))
    loud = caller.tape.agent_loud_ticks(tick, len(caller.tape))
    audio = bytes(caller.tape.agent[loud[0] * FRAME_BYTES : (loud[-1] + 1) * FRAME_BYTES]) if loud else b""
    return Answer(heard, pieces, audio, done)


class Judge:
    """Listens to answers, away from the event loop: other calls must not wait for it."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    async def missing(self, audio: bytes, facts: Sequence[Sequence[str]]) -> str:
        """What the answer lacks, as a line for an assertion; empty when all facts were heard."""
        judgement = await asyncio.to_thread(judge, audio, facts, self._decoder)
        return "" if judgement.right else f"without {judgement.missing}: {judgement.text!r}"

    async def asked(self, caller: Caller, name: str) -> Answer:
        """Ask a question that can be answered and check that its facts are heard."""
        answer = await ask(caller, name)
        assert answer.done, f"no end of an answer: {answer}"
        assert not (wrong := await self.missing(answer.audio, recordings.get(name).facts)), wrong
        return answer
