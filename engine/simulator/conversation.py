"""A call that follows a script: the agent greets, each question is asked and its answer heard out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.simulator.analysis import CallRecord, TurnResult, Utterance, analyse
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity, Received, Violation
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


@dataclass(slots=True, eq=False)
class ConversationResult:
    """A whole call. `greeting_ms`: from the open line to the agent's first loud frame."""

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
    """Questions left when the call ended before its script."""


async def run_conversation(
    url: str,
    utterances: Sequence[Utterance],
    on_event: Callable[[Event], None] | None = None,
    *,
    pace: Pace | None = None,
    line: Line | None = None,
) -> ConversationResult:
    """Call `url`, let the agent greet, ask each question and hear its answer out, hang up.

    Raises what `Caller.dial` raises. A call that the server ends early is a result, not an error.
    """
    pace = pace or Pace()
    line = replace(line or Line(), on_event=on_event) if on_event else line
    dice = random.Random(pace.seed)
    started, said = time.time(), list[Said]()
    async with Caller.dial(url, line) as caller:
        await caller.agent_done(pace.greeting_s)
        for utterance in utterances:
            await caller.pause(dice.uniform(*pace.pause_s))
            if not caller.open:
                break
            said.append(await caller.say(utterance.pcm))
            await caller.agent_done(pace.answer_s)
    script = list(zip(utterances, said, strict=False))
    return _result(caller, script, started, len(utterances))


def _result(
    caller: Caller, script: list[tuple[Utterance, Said]], started: float, planned: int
) -> ConversationResult:
    carrier, tape = caller.carrier, caller.tape
    ended = [received.event.reason for received in carrier.events if isinstance(received.event, CallEnded)]
    ids = [received.event.call_id for received in carrier.events if isinstance(received.event, CallStarted)]
    greeting = tape.agent_loud_ticks(0, script[0][1].start if script else len(tape))
    return ConversationResult(
        identity=carrier.identity,
        started_unix=started,
        tape=tape,
        turns=analyse(CallRecord(tape, carrier.events, carrier.cleared), script),
        events=carrier.events,
        violations=carrier.violations,
        call_id=ids[0] if ids else "",
        greeting_ms=(tape.at(greeting[0]) - caller.dialled_at) * 1000 if greeting else None,
        close_code=caller.close_code,
        ended=ended[0] if ended else "",
        unsaid=planned - len(script),
    )
