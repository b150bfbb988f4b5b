"""A call that follows a script: the agent greets, each question is asked and its answer heard out.

A script may also hold steps of other kinds, such as those of `scenarios`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from engine.simulator.analysis import CallRecord, TurnResult, Utterance, analyse
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity, Cleared, Received, Violation
from engine.simulator.events import CallEnded, CallStarted, Event
from engine.simulator.tape import Said, Tape


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient and how quick the caller is; times in seconds of the call."""

    greeting_s: float = 8.0
    answer_s: float = 15.0
    pause_s: tuple[float, float] = (0.4, 1.0)
    """Between an answer and the next question: least and most."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """Something that the caller said in a call, and which step of the script made him say it, if any.

    `asks`: whether it wants an answer; a cough does not.
    """

    utterance: Utterance
    said: Said
    step: Step | None = None
    asks: bool = True


class Step(Protocol):
    """Something that a caller does other than asking a question and hearing its answer out."""

    async def perform(self, caller: Caller, pace: Pace) -> list[Spoken]:
        """Do it and wait for what comes of it; returns what was said, in order. A call may end meanwhile."""


Script: TypeAlias = Sequence["Utterance | Step"]


@dataclass(slots=True, eq=False)
class ConversationResult:
    """A whole call. `greeting_ms`: from the open line to the agent's first loud frame.

    `turns` are what came of all in `spoken` that asks.
    """

    identity: CallIdentity
    started_unix: float
    tape: Tape
    turns: list[TurnResult]
    events: list[Received]
    violations: list[Violation]
    call_id: str = ""
    greeting_ms: float | None = None
    close_code: int | None = None
    """How the server ended the WebSocket; None when the caller hung up."""
    ended: str = ""
    """The reason of the server's `ended` event."""
    unsaid: int = 0
    """What was left of the script when the call ended before it."""
    spoken: list[Spoken] = field(default_factory=list)
    cleared: list[Cleared] = field(default_factory=list)

    @property
    def record(self) -> CallRecord:
        return CallRecord(self.tape, self.events, self.cleared)

    @property
    def answers(self) -> list[tuple[Spoken, TurnResult]]:
        """What was asked, each with what came of it."""
        return list(zip((one for one in self.spoken if one.asks), self.turns, strict=True))


async def run_conversation(
    url: str,
    script: Script,
    on_event: Callable[[Event], None] | None = None,
    *,
    pace: Pace | None = None,
    line: Line | None = None,
    on_step: Callable[[], None] | None = None,
) -> ConversationResult:
    """Call `url`, let the agent greet, ask each question and hear its answer out, hang up.

    `on_step` is called after each step of the script.
    Raises what `Caller.dial` raises. A call that the server ends early is a result, not an error.
    """
    pace = pace or Pace()
    line = replace(line or Line(), on_event=on_event) if on_event else line
    dice = random.Random(pace.seed)
    started, spoken, steps = time.time(), list[Spoken](), 0
    async with Caller.dial(url, line) as caller:
        await caller.agent_done(pace.greeting_s)
        for step in script:
            await caller.pause(dice.uniform(*pace.pause_s))
            if not caller.open:
                break
            asked = ask(caller, step, pace) if isinstance(step, Utterance) else step.perform(caller, pace)
            spoken += await asked
            steps += 1
            if on_step is not None:
                on_step()
    return _result(caller, spoken, started, len(script) - steps)


async def ask(caller: Caller, question: Utterance, pace: Pace, step: Step | None = None) -> list[Spoken]:
    """Say a question and hear its answer out."""
    spoken = Spoken(question, await caller.say(question.pcm), step)
    await caller.agent_done(pace.answer_s)
    return [spoken]


def _result(caller: Caller, spoken: list[Spoken], started: float, unsaid: int) -> ConversationResult:
    carrier, tape = caller.carrier, caller.tape
    ended = [received.event.reason for received in carrier.events if isinstance(received.event, CallEnded)]
    ids = [received.event.call_id for received in carrier.events if isinstance(received.event, CallStarted)]
    greeting = tape.agent_loud_ticks(0, spoken[0].said.start if spoken else len(tape))
    asked = [(one.utterance, one.said) for one in spoken if one.asks]
    return ConversationResult(
        identity=carrier.identity,
        started_unix=started,
        tape=tape,
        turns=analyse(CallRecord(tape, carrier.events, carrier.cleared), asked),
        events=carrier.events,
        violations=carrier.violations,
        call_id=ids[0] if ids else "",
        greeting_ms=(tape.at(greeting[0]) - caller.dialled_at) * 1000 if greeting else None,
        close_code=caller.close_code,
        ended=ended[0] if ended else "",
        unsaid=unsaid,
        spoken=spoken,
        cleared=carrier.cleared,
    )
